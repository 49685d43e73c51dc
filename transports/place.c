/* Whose a path is. */
#include "transports/place.h"

const struct place *place_find(const struct config *config, struct span path)
{
    for (size_t i = 0; places[i]; i++)
        if (places[i]->holds(config, path))
            return places[i];
    return NULL;
}

uint64_t place_body_max(const struct config *config, struct span path)
{
    const struct place *place = place_find(config, path);

    return place && place->body_max ? place->body_max(config, path)
                                    : config->max_message_bytes;
}
