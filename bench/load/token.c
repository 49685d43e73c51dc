/* HS256, so that ten thousand users need not log in one by one. */
#include "bench/load/load.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t base64url(char *out, const unsigned char *data, size_t size)
{
    int length = EVP_EncodeBlock((unsigned char *)out, data, (int)size);

    while (length > 0 && out[length - 1] == '=')
        length--;
    for (int i = 0; i < length; i++) {
        if (out[i] == '+')
            out[i] = '-';
        else if (out[i] == '/')
            out[i] = '_';
    }
    out[length] = '\0';
    return (size_t)length;
}

char *token_mint(const char *user, const char *secret)
{
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_size;
    char claims[160], *token = malloc(512);
    int size = snprintf(claims, sizeof(claims),
                        "{\"sub\":\"%s\",\"app\":\"bench\",\"exp\":%lld}", user,
                        (long long)time(NULL) + 86400);
    size_t at;

    if (!token)
        die("out of memory");
    at = base64url(token, (const unsigned char *)head, sizeof(head) - 1);
    token[at++] = '.';
    at += base64url(token + at, (unsigned char *)claims, (size_t)size);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)token, at,
         mac, &mac_size);
    token[at++] = '.';
    base64url(token + at, mac, mac_size);
    return token;
}
