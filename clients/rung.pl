#!/usr/bin/perl
# A Rung client of Perl's core modules:  perl rung.pl URL USER-OR-TOKEN CURSOR-FILE
# Sends each line "to<TAB>text" of stdin, prints "seq<TAB>from<TAB>text" for each
# message; \t \n \r \\ stand for a tab, a line's end, a return and a backslash.
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use Time::HiRes 'sleep';

my ($url, $who, $file) = @ARGV;
my $http = HTTP::Tiny->new(timeout => 40);
my $json = JSON::PP->new->utf8;
my %plain = ('\\' => '\\', t => "\t", n => "\n", r => "\r");
my %escape = map { $plain{$_} => "\\$_" } keys %plain;
my $token;

# The definite answer: asks until there is one. Dies with [status, text] when refused.
sub ask {
    my ($path, $params) = @_;
    my %request = (headers => { $token ? (Authorization => "Bearer $token") : () });
    $request{content} = $json->encode($params) if $params;

    for (my $attempt = 0;; $attempt++) {
        my $got = $http->request($params ? 'POST' : 'GET', $url . $path, \%request);
        my $answer = eval { $json->decode($got->{content}) };
        return $answer if $got->{success} && ref $answer;
        die [$got->{status}, $got->{content}] # 599 is HTTP::Tiny's "nobody there"
            if $got->{status} =~ /^[34]/ && $got->{status} != 429;
        my $after_ms = eval { $answer->{error}{retry_after_ms} } || 0;
        # Full jitter: evenly from 0 to a ceiling that doubles up to 32 s.
        sleep $after_ms / 1000 + rand(0.5 * 2**($attempt < 6 ? $attempt : 6));
    }
}

sub new_id {
    open my $random, '<:raw', '/dev/urandom' or die $!;
    read $random, my $bytes, 16;
    return unpack 'H*', $bytes;
}

sub send_all {
    while (my $line = <STDIN>) {
        chomp $line;
        my ($to, $text) = split /\t/, $line, 2;
        ($text //= '') =~ s/\\([\\tnr])/$plain{$1}/g;
        # The id is made once, so a message stored but not answered is not doubled.
        my $message = { to => $to, client_msg_id => new_id(), body => { text => $text } };
        next if eval { ask('/v1/message.send', $message) };
        print STDERR "refused: @{$@}\n";
        kill HUP => getppid if $@->[0] == 401; # no token, no client
    }
}

sub follow {
    my $cursor = 0;
    if (open my $in, '<', $file) { chomp($cursor = <$in> // 0) }
    while (1) {
        my $answer = ask("/v1/longpoll?wait=25&cursor=$cursor");
        my $pause_ms = 0;
        for my $event (@{ $answer->{events} }) {
            if ($event->{event} eq 'message') {
                my $text = ref $event->{body} eq 'HASH' ? $event->{body}{text} : undef;
                $text = "[$event->{type}]" if !defined $text || ref $text;
                $text =~ s/([\\\t\n\r])/$escape{$1}/g;
                print join("\t", $event->{seq}, $event->{from}, $text), "\n";
            } elsif ($event->{event} =~ /^(gap|reset|bye)$/) {
                # gap: retention took some. reset: another log. bye: come back later.
                print STDERR $json->encode($event), "\n";
                $pause_ms = $event->{retry_after_ms} // 0;
            }
        }
        $cursor = $answer->{cursor};
        open my $out, '>', "$file.new" or die "$file.new: $!";
        print $out "$cursor\n";
        close $out && rename "$file.new", $file or die "$file: $!"; # handled: never again
        sleep $pause_ms / 1000;
    }
}

binmode $_, ':encoding(UTF-8)' for *STDIN, *STDOUT;
$| = 1;
eval {
    $token = $who =~ /^eyJ.*\..*\./ ? $who : ask('/v1/demo.login', { user => $who })->{token};
    my $sender = fork // die "fork: $!\n"; # two things at once: two processes
    if (!$sender) { send_all(); exit }
    $SIG{INT} = $SIG{TERM} = sub { kill TERM => $sender; exit 0 };
    eval { follow() };
    kill TERM => $sender;
    die $@;
};
print STDERR ref $@ ? "refused: @{$@}\n" : $@;
exit 1;
