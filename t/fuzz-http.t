# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A black-box fuzz of all locations: valid requests, for which the right answer
# is known, between broken ones, over connections that are kept.  Each step has
# a seed of its own.
#
#     OTPREG_FUZZ_REQUESTS=200000 OTPREG_FUZZ_SEED=7 prove t/fuzz-http.t
#
# Never a 500, nothing that is not HTTP, no secret in an answer or a log, no
# crash; and in the end nobody is verified who did not give his code.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -nosmtp;
use OtpReg::Fuzz;
use OtpReg::Nginx;
use OtpReg::Wire;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

my $steps = $ENV{OTPREG_FUZZ_REQUESTS} || 1000;
my $seed = $ENV{OTPREG_FUZZ_SEED} // 1;
my $log_level = $ENV{OTPREG_FUZZ_REQUESTS} ? 'info' : 'debug';
my $examples = OtpReg::Env::root_dir() . '/conf-examples';
my $mail = OtpReg::Env::free_port();

my $h2 = OtpReg::Env::free_port();
my $http2 = OtpReg::Env::http2();
my $nginx = OtpReg::Nginx->start(<<"END", log_level => $log_level,
otpreg_mail /courier/mail;
otpreg_sms /courier/mail;
otpreg_mail_text /mail/\$otpreg_lang/\$otpreg_template.txt;
otpreg_sms_text /sms/\$otpreg_lang/\$otpreg_template.txt;
listen 127.0.0.1:$h2$http2;
large_client_header_buffers 4 8k;
keepalive_requests 1000000;
location = /register { otpreg_register /pages/register.html; }
location = /both {
    otpreg_register /pages/register.html;
    otpreg_fields username=optional email=optional phone=optional;
}
location = /guarded {
    otpreg_register /pages/register.html;
    otpreg_form_time 1ms;
    otpreg_challenge /challenge;
}
location = /challenge {
    internal;
    if (\$otpreg_challenge_token = good) { return 200 '{"success":true}'; }
    return 200 '{"success":false,"error-codes":["<script>fz2"]}';
}
location = /verify-otp { otpreg_verify /pages/verify-otp.html; }
location = /resend-otp { otpreg_resend; }
location = /status { otpreg_status; allow 127.0.0.1; deny all; }
location = /courier/mail {
    internal;
    log_subrequest on;
    access_log logs/codes codes;
    return 204;
}
location = /courier/open { otpreg_smtp smtp://127.0.0.1:$mail from=a\@b.test; }
location = /courier/console { otpreg_console; }
location /pages/ { root $examples; ssi on; }
location /mail/ { internal; root $examples; ssi on; ssi_types text/plain; }
location /sms/ { internal; root $examples; ssi on; ssi_types text/plain; }
END
    http_config => default_http_config() . <<"END");
otpreg_password_hash memory=7m operations=5;
otpreg_resend_delay 0;
otpreg_code_lifetime 1h;
otpreg_verify_all on;
otpreg_language en;
otpreg_language de $examples/lang/de.txt;
otpreg_language ar $examples/lang/ar.txt;
log_format codes '\$otpreg_message_id \$otpreg_to \$otpreg_code';
types { text/html html; text/plain txt; text/css css; }
END

my $own = qr{^/(?:register|both|guarded|verify-otp|resend-otp)(?:\?|$)};
my (%code, %may, %verified, @open, @spoilt, %count, @found, $wire, $codes);
my ($step, $asked, $token) = (0, '');

sub found {
    my ($what) = @_;
    push @found, "step $step of seed $seed: $what\n" . show($asked);
}

# what has no page of ours: nginx refuses it before it is asked who answers

my $protocol = qr/^(?:400|405|408|411|413|414|417|431|494|501|505)$/;

sub check {
    my ($r, $res) = @_;
    my $h = $res->{headers};

    # what is left of a request that was torn may be one of HTTP/0.9, which
    # nginx answers without a header

    return $count{'HTTP/0.9'}++
        if ($res->{error} // '') =~ m{^cut off: <html>.*</html>\s*$}s
           && $res->{error} =~ m{<hr><center>nginx/};

    $count{$res->{status} // 0}++;

    return found("not HTTP: $res->{error}") if $res->{error};
    found("status $res->{status}: $res->{body}")
        if $res->{status} =~ /^5/ && $res->{status} !~ /^50[15]$/;
    found("a password in the answer") if "$res->{head}$res->{body}"
                                         =~ /\Q$Password/;
    found("a script in the answer") if $res->{body} =~ /<script>fz/;
    $token = $1 if $res->{body} =~ /name="form_token"[^>]*value="([^"]+)"/s;
    found("a header of the client's") if exists $h->{'x-evil'};

    if (($h->{'content-type'} // '') =~ m{^application/(?:problem\+)?json}
        && length $res->{body})
    {
        my $json = eval { JSON::PP::decode_json($res->{body}) };
        $res->{json} = $json;
        found("not JSON: $res->{body}") if ref $json ne 'HASH';
        found("not a problem: $res->{body}") if $res->{status} >= 400
            && (($json->{status} // 0) != $res->{status} || !$json->{code});
    }

    return if !$r || $r->{path} !~ $own || $res->{status} =~ $protocol;
    found("without $_") for grep { !exists $h->{$_} } qw(cache-control
        x-content-type-options x-frame-options referrer-policy);
}

# One request or several at once, over a connection that is kept if it can be.

sub exchange {
    my (@requests) = @_;
    my @answers;

    $asked = join '', map { bytes($_) } @requests;
    $wire //= OtpReg::Wire->new($nginx->port);
    $wire->put($asked);

    for my $r (@requests) {
        my $res = $wire->answer($r->{method});

        if (!$res) {
            undef $wire;
            found("no answer to $r->{method} $r->{path}")
                if @requests == 1 && $r->{path} !~ / /;
            return @answers;
        }

        check($r, $res);
        push @answers, $res;

        if ($res->{error} || $res->{close}) {
            undef $wire;
            last;
        }
    }

    return @answers;
}

# Bytes of which nobody knows where a request ends: what comes is HTTP.

sub blast {
    my ($bytes) = @_;
    my $w = OtpReg::Wire->new($nginx->port);

    $asked = $bytes =~ s/HEAD/GET/gr;       # to know how long an answer is
    $w->put($asked);
    $w->end;

    while (my $res = $w->answer('GET')) {
        # a line without a version is HTTP/0.9: answers have no head
        return if $res->{error}
                  && grep { m{^\s*[A-Z]+ } && !m{ HTTP/1\.\d} }
                     split /\n/, $bytes;
        check(undef, $res);
        last if $res->{error};
    }
}

# HTTP/2 from behind: streams that are opened, reset and broken

sub frame { pack('NCN', length($_[3] // '') << 8 | $_[0], @_[1, 2])
            . ($_[3] // '') }

sub h2_field {
    my ($name, $value) = @_;
    my $len = length $value;
    return if $len > 120;
    return "\x10" . chr(length $name) . $name . chr($len) . $value;
}

sub h2_blast {
    my $bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0);
    my $id = 1;

    for (0 .. rnd(5)) {
        my $r = spoil();
        my $body = hidden(substr $r->{body} // '', 0, 16_000);
        my $head = join '', h2_field(':method', $r->{method}),
                   h2_field(':path', $r->{path}), h2_field(':scheme', 'http'),
                   h2_field(':authority', 'localhost'),
                   map { h2_field(lc $_->[0], $_->[1]) } @{ $r->{headers} };
        $bytes .= frame(1, 4 | ($body eq ''), $id, substr $head, 0, 16_000);
        $bytes .= frame(3, 0, $id, pack 'N', 8) if !rnd(4);
        $bytes .= frame(0, rnd(4) ? 1 : 0, $id, $body) if $body ne '';
        $bytes .= frame(3, 0, $id, pack 'N', 8) if !rnd(3);
        $bytes .= frame(rnd(12), rnd(256), rnd(4) ? $id : rnd(9),
                        join '', map { chr rnd(256) } 0 .. rnd(40))
            if !rnd(6);
        $id += 2;
    }

    utf8::encode($bytes) if utf8::is_utf8($bytes);
    substr $bytes, 40 + rnd(length($bytes) - 40), 1, chr rnd(256) if !rnd(5);

    $asked = $bytes;
    my $w = OtpReg::Wire->new($h2);
    $w->put($bytes);
    $w->end;
    1 while $w->more;
    found('HTTP/2 hangs') if $w->{timeout};
    $w->{in} =~ s/\AHTTP.*//s;              # not taken for HTTP/2

    while ($w->{in} =~ s/\A(.)(..)(.)(.)(....)//s) {
        my $len = unpack 'N', "\0$1$2";
        last if length $w->{in} < $len;     # closed in the middle
        my $type = ord $3;
        found("HTTP/2 frame of type $type") if $type > 9;
        my $payload = substr $w->{in}, 0, $len, '';
        found('a password over HTTP/2') if $payload =~ /\Q$Password/;
    }
    $count{'HTTP/2'}++;
}

# ----- requests with a known answer

sub expect {
    my ($what, $status, $res, $more) = @_;
    $count{valid}++;
    return $res if $res && $res->{status} =~ /^(?:$status)$/
                   && (!$more || $more->());
    found("$what: " . ($res ? "$res->{status} $res->{head}$res->{body}"
                            : 'no answer'));
    return undef;
}

sub code_of {
    my ($flow) = @_;
    my $logs = $nginx->prefix . '/logs/codes';

    wait_until(sub {
        open $codes, '<', $logs or return 0 if !$codes;
        seek $codes, 0, 1;
        while (<$codes>) {
            $code{$1} = $2 if /^\w+ (\S+) (\d{6})$/;
        }
        exists $code{ $flow->{email} };
    }, 30, 0.01) or found("no code for $flow->{email}");

    return $code{ $flow->{email} } // '000000';
}

sub cookie { ($_[0]{set_cookie}[0] // '') =~ /^(otpreg=[^;]+)/ ? $1 : undef }

sub sign_up {
    my $json = rnd(2);
    my $n = "$seed.$step";
    my $flow = { email => "f$n\@example.com", username => "f$n", wrong => 0 };
    my %fields = (username => $flow->{username}, email => $flow->{email},
                  password => "$Password $n horse battery",
                  confirm_password => "$Password $n horse battery");
    my ($res) = exchange(request('signup', json => $json,
                                 fields => \%fields));
    expect('a sign-up', $json ? 201 : 303, $res) or return;
    $flow->{cookie} = cookie($res) // found('no cookie');
    push @{ rnd(3) ? \@open : \@spoilt }, $flow;
    shift @open if @open > 20;
    shift @spoilt if @spoilt > 20;
}

sub verify_wrong {
    my $flow = pick(@open) or return sign_up();
    return verify_right() if $flow->{wrong} == 4;
    my $code = sprintf '%06d', (code_of($flow) + 1 + rnd(999_998)) % 1e6;
    my ($res) = exchange(request('verify', json => 1, fields => {
        otp => $code }, cookie => $flow->{cookie}));
    $flow->{wrong}++;
    expect('a wrong code', 422, $res, sub {
        $res->{json}{code} eq 'code_wrong'
        && $res->{json}{attempts_left} == 5 - $flow->{wrong} });
}

sub verify_right {
    my $flow = shift @open or return sign_up();
    my $json = rnd(2);
    my $code = code_of($flow);
    $may{ $flow->{email} } = 1;
    my @request = ('verify', json => $json, cookie => $flow->{cookie}, fields
        => { otp => pick($code, substr($code, 0, 3) . ' ' . substr $code, 3) });
    my ($res) = exchange(request(@request));
    expect('the right code', $json ? 200 : 303, $res) or return;
    $verified{ $flow->{email} } = 1;
    expect('it is used', 409, (exchange(request(@request)))[0]) if !rnd(3);

    my %taken = (username => uc $flow->{username}, email => 'x@example.com',
                 password => "$Password $step x horse",
                 confirm_password => "$Password $step x horse");
    my ($again) = exchange(request('signup', json => 1, fields => \%taken));
    expect('its name is taken', 422, $again, sub {
        $again->{json}{errors}[0]{code} eq 'username_taken' });
}

sub resend {
    my $flow = pick(@open) or return sign_up();
    my ($res) = exchange(request('resend', json => 1,
                                 cookie => $flow->{cookie}));
    expect('a message again', 200, $res);
    $flow->{cookie} = cookie($res) // $flow->{cookie};
}

sub look {
    my ($res) = exchange(request('look', cookie => @open
                                 ? pick(@open)->{cookie} : undef));
    expect('a page', '200|303', $res);
}

sub refused {
    my @cases = ([415, [['Content-Type' => 'text/plain']]],
                 [403, [['Sec-Fetch-Site' => 'cross-site']]],
                 [409, [], 'verify'], [422, []], [400, [], undef, '{"a"']);
    my ($status, $headers, $role, $body) = @{ pick(@cases) };
    my $r = request($role // 'signup', json => 1, fields => {});
    my %given = map { $_->[0] => 1 } @$headers;
    $r->{headers} = [(grep { !$given{ $_->[0] } } @{ $r->{headers} }),
                     @$headers];
    push @{ $r->{headers} }, [Accept => 'application/json'];
    $r->{body} = $body if defined $body;
    my ($res) = exchange($r);
    expect('refused', $status, $res, sub { $res->{json}{code} });
}

# ----- and others

sub spoil {
    my $flow = @spoilt && rnd(3) ? pick(@spoilt) : {};
    my $r = request(pick(qw(signup signup verify verify resend look)),
                    json => rnd(2), cookie => $flow->{cookie},
                    path => rnd(3) ? undef : pick('/both', '/guarded'),
                    fields => { rnd(4) ? () : (
                        form_token => $token // 'x', challenge => 'good'),
                        username => 'u' . rnd(50), otp => sprintf('%06d', rnd(1e6)),
                        email => 's' . rnd(50) . '@example.com',
                        password => "$Password $step horse",
                        confirm_password => "$Password $step horse" });
    mutate($r) for 0 .. rnd(3);
    return $r;
}

my @kinds = ((sub { exchange(spoil()) }) x 40,
             (sub { exchange(map { spoil() } 0 .. rnd(6)) }) x 10,
             (sub { blast(shatter(join '', map { bytes(spoil()) }
                                           0 .. rnd(2))) }) x 15,
             (\&h2_blast) x ($http2 ? 5 : 0), (\&sign_up) x 6, (\&verify_right) x 4,
             (\&verify_wrong) x 6, (\&resend) x 3, (\&look) x 6,
             (\&refused) x 5);

my @workers = $nginx->workers;
my $begin = time;

while ($step++ < $steps) {
    srand($seed * 1e8 + $step);
    eval { pick(@kinds)->(); 1 } or found("died: $@");
    last if @found > 5;
    diag("$step of $steps") if $steps > 5000 && $step % 5000 == 0;
}

is_deeply \@found, [], "$steps steps" or diag(@found);
diag(sprintf "seed %s, %d steps, %d requests and answers, %.0f s: %s", $seed,
     $steps, (eval join '+', 0, @count{ grep { /^\d/ } keys %count }),
     time - $begin, join ', ', map { "$_: $count{$_}" } sort keys %count);

cmp_ok $count{valid}, '>', $steps / 8, 'a part of them with a known answer';
cmp_ok $count{$_} // 0, '>', 0, "there were answers of $_"
    for qw(200 201 303 400 403 404 405 409 413 415 422);
is_deeply [$nginx->workers], \@workers, 'the worker has lived through it';

undef $wire;
wait_until(sub { !sql('SELECT COUNT(*) FROM messages
                       WHERE due_at IS NOT NULL') }, 60);

my %active = map { $_->[0] => $_->[1] } sql("SELECT email_key, COUNT(*)
    FROM users WHERE is_active OR email_verified_at IS NOT NULL
    OR phone_verified_at IS NOT NULL GROUP BY email_key");
is_deeply [grep { !$may{ $_ // '' } } keys %active], [],
          'nobody is active who did not give his code';
is_deeply [grep { ($active{$_} // 0) != 1 } sort keys %verified], [],
          'and who did, is, once';
is sql('SELECT COUNT(*) FROM users u WHERE email_verified_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM otps o WHERE o.user_id = u.id
                        AND o.consumed_at IS NOT NULL
                        AND o.attempts BETWEEN 1 AND 5)'), 0,
   'each by a code of his own';
is sql('SELECT COUNT(*) FROM otps WHERE attempts > 5'), 0,
   'no code was tried more than five times';

my @bad;
open my $log, '<', $nginx->prefix . '/logs/error.log' or die $!;
while (my $line = <$log>) {
    push @bad, $line if $line =~ /\Q$Password\E/
        || $line =~ /otpreg: (?:database|no memory|ngx_)|\[crit\]/
        || $line =~ /otpreg=[\w-]{60}/ && $log_level ne 'debug'
           && $line !~ /client sent /;          # nginx's own words
}
is_deeply \@bad, [], 'no password and nothing about a fault in the log';
unlike $nginx->access_log, qr/\Q$Password/, 'no password in the other';

ok $nginx->quit(60), 'ends by itself';
is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
