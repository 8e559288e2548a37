package OtpReg::Provider;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A provider's HTTP API for tests: keeps every request, answers as told.
#
# provider_start()      on a free port of 127.0.0.1; returns it
# provider_stop()       refuses from now on
# provider_behave(@answers)   one answer a request, the last for all others;
#                       without answers: 200.  An answer is a status or
#                       { status, headers => {}, body, delay => seconds,
#                         close => 1 (no answer), reset => 1,
#                         size => bytes (instead of body),
#                         endless => 1 (no Content-Length),
#                         drip => seconds (between two bytes of the body) }
# provider_behave_as($host, @answers)   the same for requests with this Host
#                       only, in the order of these requests
# provider_requests($to)   so far, or those with this "to" in a JSON body, each
#                       { method, path, headers (by lower-case name), body,
#                       json, time, peer (the port that it came from), answer
#                       (the status, or 0 for none) }
# provider_secret($conf, $dir, $secret)   paste the commands in the head of this
#                       example at a shell, which then asks for the secret; $dir
#                       stands for /etc/nginx/otpreg

use v5.10.1;
use strict;
use warnings;

use Fcntl qw(:flock);
use File::Path qw(make_path);
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);
use OtpReg::Env qw(test_dir free_port slurp spew at_end stop_process);
use Exporter 'import';

our @EXPORT = qw(provider_start provider_stop provider_behave
                 provider_behave_as provider_requests provider_secret);

my ($Pid, $Port);

sub provider_start {
    $Port //= free_port();

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $Port, Listen => 1024, ReuseAddr => 1)
        or die "port $Port: $!\n";

    spew(requests_file(), '') if !-f requests_file();
    make_path(requests_file() . '.to');
    provider_behave() if !-f answers_file();

    my $owner = $$;
    $Pid = fork() // die "fork: $!\n";

    if (!$Pid) {
        serve($listen, $owner);
        POSIX::_exit(0);
    }

    close $listen;
    at_end(\&provider_stop);

    return $Port;
}

sub provider_stop {
    return if !$Pid;
    stop_process($Pid, 'KILL');
    undef $Pid;
}

sub provider_behave {
    my (@answers) = @_;
    @answers = (200) if !@answers;
    write_answers(answers_file(), @answers);
}

sub provider_behave_as {
    my ($host, @answers) = @_;
    write_answers(answers_file() . ".$host", @answers);
}

sub write_answers {
    my ($file, @answers) = @_;
    spew($file, JSON::PP->new->encode([map {
        ref $_ ? $_ : { status => $_ }
    } @answers]));
}

sub provider_requests {
    return map { my $req = JSON::PP->new->decode($_);
                 $req->{json} = eval { JSON::PP->new->utf8->decode(
                                           $req->{body}) };
                 $req }
           split /\n/, slurp(requests_file(@_)) // '';
}

sub provider_secret {
    my ($conf, $dir, $secret) = @_;
    my ($commands) = $conf =~ /^(#     \(umask.*?)^#$/ms
        or die "no commands for a secret file\n";
    $commands =~ s/^#     //gm;
    $commands =~ s{/etc/nginx/otpreg}{$dir}g;

    open my $shell, '|-', 'bash' or die "bash: $!\n";
    print $shell "umask 022\n$commands$secret\n";
    close $shell or die "bash: $commands\n";
}

sub requests_file {
    my ($to) = @_;
    my $file = test_dir() . '/provider.requests';
    return defined $to ? "$file.to/" . $to =~ s/[^\w.+\@-]/%/gr : $file;
}

sub answers_file { test_dir() . '/provider.answers' }

sub serve {
    my ($listen, $owner) = @_;

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    $SIG{CHLD} = 'IGNORE';

    while (kill 0, $owner) {
        my $client = $listen->accept or next;
        my $answer = shift_answer();

        my $pid = fork();
        next if $pid;

        close $listen;
        answer($client, $answer);
        POSIX::_exit(0);
    }
}

# the answers are used up in the order of connections

sub shift_answer {
    my $file = shift // answers_file();
    my $answers = JSON::PP->new->decode(slurp($file));
    my $answer = @$answers > 1 ? shift @$answers : $answers->[0];
    spew($file, JSON::PP->new->encode($answers));
    return $answer;
}

# those of a host are used up by many processes

sub host_answer {
    my ($host) = @_;
    my $file = answers_file() . ".$host";

    return if $host !~ /^[\w.:-]+$/ || !-f $file;
    open my $lock, '>>', answers_file() . '.lock' or die "lock: $!\n";
    flock $lock, LOCK_EX;
    return shift_answer($file);
}

sub answer {
    my ($client, $answer) = @_;

    my $head = '';
    while ($head !~ /\r\n\r\n/) {
        sysread($client, $head, 65536, length $head) or return;
    }

    ($head, my $body) = split /\r\n\r\n/, $head, 2;
    my ($line, @fields) = split /\r\n/, $head;
    my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1, $2) : () } @fields;

    while (length $body < ($headers{'content-length'} // 0)) {
        sysread($client, $body, 65536, length $body) or return;
    }

    my ($method, $path) = split / /, $line;
    $answer = host_answer($headers{host} // '') // $answer;

    my $record = JSON::PP->new->ascii->encode({ method => $method,
        path => $path, headers => \%headers, body => $body, time => time(),
        peer => $client->peerport,
        answer => $answer->{close} || $answer->{reset} ? 0
                  : $answer->{status} }) . "\n";

    for my $file (requests_file(),
                  $body =~ /"to": ?"([^"]+)"/ ? requests_file($1) : ())
    {
        open my $out, '>>:raw', $file or die "$file: $!\n";
        syswrite $out, $record;
    }

    sleep $answer->{delay} if $answer->{delay};
    setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0
        if $answer->{reset};
    return if $answer->{close} || $answer->{reset};

    my $text = $answer->{size} ? 'x' x $answer->{size}
               : $answer->{body} // '{}';
    my %more = %{ $answer->{headers} // {} };
    syswrite $client, join "\r\n", "HTTP/1.1 $answer->{status} Answer",
        ('Content-Length: ' . length $text) x !$answer->{endless},
        'Connection: close', (map { "$_: $more{$_}" } sort keys %more), '',
        $answer->{drip} ? '' : $text;

    return if !$answer->{drip};

    for my $byte (split //, $text) {
        sleep $answer->{drip};
        syswrite $client, $byte or return;
    }
}

1;
