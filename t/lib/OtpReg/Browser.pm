package OtpReg::Browser;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A headless Chromium, driven by chromedriver as W3C WebDriver says.  It has its
# own profile under TEST_NGINX_TEST_DIR and ends with the .t file.
#
#     use OtpReg::Browser;
#
#     my $browser = OtpReg::Browser->start(javascript => 0);
#     $browser->go($nginx->port, '/register');
#     $browser->type($browser->field('Username'), 'alice');
#     $browser->press('Create account');
#     is $browser->path, '/verify-otp', 'the next page';
#     is_deeply [$browser->problems], [], 'nothing on the console';
#     $browser->quit;
#
# OtpReg::Browser->start(%opt)   dies, and says so, if Chromium is not installed
#
#     javascript  0: pages run no scripts (1)
#     phone       1: a screen of 360 x 740, for touch if pages run scripts
#                 (0: a window of 1280 x 900)
#     hosts       names that are at 127.0.0.1: [qw(app.test)]; the browser takes
#                 only localhost for a secure context without TLS ([])
#
# go($port, $path, $host)   open http://127.0.0.1:$port$path; another $host
# back()
# path($host)      of the page: /path?query
# title()  text($element)      what is seen of an element, or of the page
# field($label)    the form field with this label; undef if there is none
# button($name)    the button with this text
# link($name)      the link with this text
# find($css)       the first element; find_all($css)
# type($element, $text)  clear($element)
# paste($element, $text) cut from the element and pasted there by the keyboard
# press($button)   and wait until another page has taken this one's place; the
#                  name of a button or an element
# click($element)
# attribute($element, $name)  property($element, $name)  enabled($element)
# role($element)  name($element)     as assistive technology is told
# focused()        the element that has the focus
# described_by($element)  the texts its aria-describedby points at, in order
# status()         of the page's own answer (needs JavaScript)
# script($body, @args)     run it in the page; returns its return value
# alert()          the text of an open alert(), undef if there is none
# problems()       what the console got since the last call, but for statuses
#                  of 4xx of the pages themselves: texts
# new_tab()  tab($handle)  the current one's handle before the call
# media(name => value)     such as prefers-color-scheme => dark
# screenshot($path)        the whole page
# quit()           the browser; chromedriver ends with the .t file

use v5.10.1;
use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use OtpReg::Env qw(test_dir free_port start_process stop_process wait_until
                   slurp spew at_end);
use Time::HiRes qw(time);

use constant {
    ELEMENT => 'element-6066-11e4-a52e-4f735466cecf',
    CONTROL => "\x{e009}",
    RELEASE => "\x{e000}",
    TIMEOUT => 60,
};

# without them, Chromium calls home
my @Quiet = qw(--disable-quic --no-first-run --disable-background-networking
               --disable-component-update --disable-sync);

my ($Driver, $Port);

sub start {
    my ($class, %opt) = @_;
    state $serial = 0;

    start_driver() if !$Driver;

    my $self = bless { javascript => 1, %opt }, $class;
    my $profile = test_dir() . '/browser' . ++$serial;
    my %chrome = (
        binary => program('chromium'),
        # by a pipe: Chromium ends when chromedriver does, however that ends
        args => [qw(--headless --no-sandbox --remote-debugging-pipe
                    --disable-dev-shm-usage), '--window-size=1280,900',
                 @Quiet, "--user-data-dir=$profile",
                 '--host-resolver-rules='
                 . join(',', map { "MAP $_ 127.0.0.1" } @{ $opt{hosts} })],
    );

    $chrome{prefs} = { 'profile.managed_default_content_settings.javascript'
                       => 2 }
        if !$self->{javascript};
    # chromedriver waits for ever for a tap on a page that runs no scripts
    my $touch = $self->{javascript} ? JSON::PP::true : JSON::PP::false;
    $chrome{mobileEmulation} = { deviceMetrics => {
        width => 360, height => 740, pixelRatio => 2, touch => $touch,
        mobile => JSON::PP::true } }
        if $self->{phone};

    my $session = request('POST', '/session', { capabilities => {
        alwaysMatch => { 'goog:chromeOptions' => \%chrome,
                         'goog:loggingPrefs' => { browser => 'ALL' } } } });
    $self->{session} = "/session/$session->{sessionId}";
    return $self;
}

sub program {
    my ($name) = @_;

    my ($path) = grep { -x && -f _ } map { "$_/$name" }
                 split /:/, $ENV{PATH} // '';
    return $path
           // die "$name is not installed: as root, apt-get install"
                  . " --no-install-recommends chromium chromium-driver\n";
}

sub start_driver {
    my @command = (program('chromedriver'), '--port=' . ($Port = free_port()));
    program('chromium');

    # Chromium has sockets there, and a socket's path has 107 bytes at most
    my $dir = test_dir() . '/browser';
    $dir = File::Temp::tempdir('otpreg-XXXXXX', TMPDIR => 1, CLEANUP => 1)
        if length($dir) > 50;
    make_path($dir);

    my $log = test_dir() . '/chromedriver.log';
    $Driver = start_process({ log => $log, signal => 'TERM' }, 'env',
                            "TMPDIR=$dir", "HOME=$dir",
                            "XDG_CONFIG_HOME=$dir", "XDG_CACHE_HOME=$dir",
                            @command);
    at_end(\&stop_driver);

    wait_until(sub { eval { request('GET', '/status')->{ready} } }, 30, 0.05)
        or die "chromedriver does not start:\n", slurp($log) // '';
}

# Chromium's processes are children of chromedriver's, or nearly so: a zygote
# outlives its parent for a moment

sub stop_driver {
    my @all = descendants($Driver);

    stop_process($Driver, 'TERM', 10);
    wait_until(sub { !grep { same_process($_) } @all }, 5)
        or kill 'KILL', map { $_->[0] } grep { same_process($_) } @all;
}

sub descendants {
    my ($top) = @_;

    my (%children, @found);

    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $ppid, $rest) =
            (slurp($stat) // '') =~ /^(\d+) \(.*\) \S (\d+) (.*)/s or next;
        push @{ $children{$ppid} }, [$pid, (split ' ', $rest)[17]];
    }

    my @next = ([$top]);

    while (my $process = shift @next) {
        my $born = $children{ $process->[0] } // next;
        push @found, @$born;
        push @next, @$born;
    }

    return @found;
}

# still there, and not another one with its number: it started at the same tick

sub same_process {
    my ($process) = @_;

    my ($state, $rest) = (slurp("/proc/$process->[0]/stat") // '')
                         =~ /^\d+ \(.*\) (\S) \d+ (.*)/s or return 0;
    return $state ne 'Z' && (split ' ', $rest)[17] eq $process->[1];
}


# ----- the protocol

# one command; returns its value, dies with the error's name and message

sub request {
    my ($method, $path, $args) = @_;

    my $json = JSON::PP->new->utf8->allow_nonref;
    my $body = $method eq 'POST' ? $json->encode($args // {}) : '';
    my ($status, $answer) = exchange($method, $path, $body);
    my $value = eval { local $SIG{__DIE__}; $json->decode($answer)->{value} };

    return $value if $status == 200;
    die "WebDriver, $method $path: ",
        ref $value ? "$value->{error}: " . ($value->{message} =~ s/\n.*//sr)
                   : "status $status", "\n";
}

# chromedriver keeps every connection open: an answer ends where its length says

sub exchange {
    my ($method, $path, $body) = @_;

    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', Timeout => 5,
                                     PeerPort => $Port)
        or die "WebDriver: connect: $@\n";
    local $SIG{PIPE} = 'IGNORE';
    print $sock "$method $path HTTP/1.1\r\nHost: 127.0.0.1:$Port\r\n"
                . "Content-Type: application/json\r\nContent-Length: "
                . length($body) . "\r\n\r\n$body";
    $sock->flush;

    my $select = IO::Select->new($sock);
    my $until = time() + TIMEOUT;
    my $raw = '';

    while ($until > time() && $select->can_read($until - time())) {
        sysread $sock, $raw, 65536, length $raw or last;

        my ($head, $rest) = split /\r\n\r\n/, $raw, 2;
        my ($length) = $head =~ /^content-length: *(\d+)/im;
        return ($head =~ m{^HTTP/1\.1 (\d+)}, $rest)
            if defined $rest && length $rest >= ($length // 0);
    }

    die "WebDriver, $method $path: no answer\n";
}

sub get  { request('GET', $_[0]{session} . $_[1]) }
sub post { request('POST', $_[0]{session} . $_[1], $_[2]) }

# undef instead of one kind of error

sub unless_error {
    my ($error, $code) = @_;

    my $value = eval { $code->() };
    die $@ if $@ && $@ !~ /: \Q$error\E: /;
    return $value;
}

sub cdp {
    my ($self, $command, %params) = @_;
    return $self->post('/goog/cdp/execute', { cmd => $command,
                                              params => \%params });
}


# ----- pages

sub go {
    my ($self, $port, $path, $host) = @_;
    $self->post('/url', { url => 'http://' . ($host // '127.0.0.1')
                                 . ":$port$path" });
}

sub back  { $_[0]->post('/back') }
sub title { $_[0]->get('/title') }

sub path {
    my ($self) = @_;
    return $self->get('/url') =~ s{^\w+://[^/]*}{}r;
}

sub script {
    my ($self, $body, @args) = @_;
    return $self->post('/execute/sync', {
        script => $body, args => [map { ref ? { ELEMENT, $$_ } : $_ } @args],
    });
}

sub status {
    my ($self) = @_;
    return $self->script("return performance.getEntriesByType('navigation')[0]"
                         . '.responseStatus');
}

sub alert {
    my ($self) = @_;
    return unless_error('no such alert', sub { $self->get('/alert/text') });
}

sub problems {
    my ($self) = @_;

    $self->{pages}{ $self->get('/url') } = 1;

    return map { "$_->{source}: $_->{message}" }
           grep { $_->{level} ne 'DEBUG' && !$self->is_page_status($_) }
           @{ $self->post('/se/log', { type => 'browser' }) };
}

sub is_page_status {
    my ($self, $entry) = @_;
    return $entry->{source} eq 'network'
           && $entry->{message} =~ /^(\S+) - .*status of 4\d\d /
           && $self->{pages}{$1};
}

sub new_tab {
    my ($self) = @_;

    my $old = $self->get('/window');
    $self->tab($self->post('/window/new', { type => 'tab' })->{handle});
    return $old;
}

sub tab { $_[0]->post('/window', { handle => $_[1] }) }

sub media {
    my ($self, %media) = @_;
    $self->cdp('Emulation.setEmulatedMedia', features => [
        map { { name => $_, value => $media{$_} } } sort keys %media ]);
}

sub screenshot {
    my ($self, $path) = @_;
    spew($path, decode_base64($self->cdp('Page.captureScreenshot',
        format => 'png', captureBeyondViewport => JSON::PP::true)->{data}));
}

sub quit {
    my ($self) = @_;
    request('DELETE', $self->{session});
}


# ----- elements: references to their identifiers

sub find_all {
    my ($self, $value, $using) = @_;
    return map { \$_->{+ELEMENT} }
           @{ $self->post('/elements', { value => $value, using => $using
                                         // 'css selector' }) };
}

sub find {
    my ($self, @what) = @_;
    my ($found) = $self->find_all(@what);
    return $found;
}

sub field {
    my ($self, $label) = @_;

    my $found = $self->find(qq{//label[normalize-space()="$label"]}, 'xpath')
                // return undef;
    return $self->find('#' . $self->attribute($found, 'for'));
}

sub button {
    my ($self, $name) = @_;
    return $self->find(qq{//button[normalize-space()="$name"]}, 'xpath');
}

sub link {
    my ($self, $name) = @_;
    return $self->find(qq{//a[normalize-space()="$name"]}, 'xpath');
}

sub element_get {
    my ($self, $element, $what) = @_;
    return $self->get("/element/$$element/$what");
}

sub element_post {
    my ($self, $element, $what, $args) = @_;
    return $self->post("/element/$$element/$what", $args);
}

sub attribute { $_[0]->element_get($_[1], "attribute/$_[2]") }
sub property  { $_[0]->element_get($_[1], "property/$_[2]") }
sub enabled   { $_[0]->element_get($_[1], 'enabled') ? 1 : 0 }
sub role      { $_[0]->element_get($_[1], 'computedrole') }
sub name      { $_[0]->element_get($_[1], 'computedlabel') }
sub click     { $_[0]->element_post($_[1], 'click') }
sub clear     { $_[0]->element_post($_[1], 'clear') }
sub type      { $_[0]->element_post($_[1], 'value', { text => $_[2] }) }

sub text {
    my ($self, $element) = @_;
    return $self->element_get($element // $self->find('body'), 'text');
}

sub focused {
    my ($self) = @_;
    return \$self->get('/element/active')->{+ELEMENT};
}

sub described_by {
    my ($self, $element) = @_;

    return map { my $found = $self->find("[id='$_']");
                 $found ? $self->text($found) =~ s/\s+/ /gr
                        : "no element #$_" }
           split ' ', $self->attribute($element, 'aria-describedby') // '';
}

sub paste {
    my ($self, $element, $text) = @_;
    $self->clear($element);
    $self->type($element, $text);
    $self->type($element, CONTROL . 'ax' . RELEASE);
    die "the text was not cut\n" if $self->property($element, 'value') ne '';
    $self->type($element, CONTROL . 'v' . RELEASE);
}

sub press {
    my ($self, $button) = @_;

    my $old = $self->find('body');
    my $found = ref $button ? $button : $self->button($button)
                                        // die "no button \"$button\"\n";
    $self->click($found);
    wait_until(sub { $self->is_gone($old) && $self->find('body') }, 20, 0.02)
        or die "no other page came after \"$button\"\n";
    $self->{pages}{ $self->get('/url') } = 1;
}

# In between, chromedriver may ask about a node of one document in the other:
# such an "inspector error" tells nothing yet.

sub is_gone {
    my ($self, $element) = @_;

    return 0 if eval { $self->element_get($element, 'name') };
    return 1 if $@ =~ /: (?:stale element reference|no such element): /;
    return 0 if $@ =~ /inspector error/;
    die $@;
}

1;
