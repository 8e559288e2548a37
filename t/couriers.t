# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The files of conf-examples/couriers, as they are shipped: what the providers
# get, by their API descriptions, and what becomes of each of their answers.
# Only addresses and the certificate authority are replaced.  Between nginx and
# the stand-in is a second nginx, for TLS: t/lib has no TLS of its own.

use v5.10.1;
use strict;
use warnings;
use utf8;

use lib 't/lib';
use OtpReg -plain, -nosmtp;
use OtpReg::DNS;
use OtpReg::Nginx;
use OtpReg::Provider;
use Encode qw(decode_utf8 encode_utf8);
use File::Path qw(make_path);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

my $couriers = OtpReg::Env::root_dir() . '/conf-examples/couriers';
my $password = 'correct horse battery staple';
my $secret = 'Secret.of-the_Provider0';
my $dir = test_dir();
my $n = 0;

# The texts: all that JSON and forms escape.  CODE is ten digits, so that the
# log does not have it by chance.

my $subject = 'Grüße: "CODE" & 100 % + \\ = {$x} \'';
my $text = "Ihr „Code“: CODE\n"
           . "\tZeile \"2\"; a=b&c=d + 100 % \\n {\$y} <z> '😀'\n";
my $html = "<p class=\"a\">Ihr Code: <b>CODE</b> &amp; 100 % + \\ €</p>\n";

# What each expects, written from the sources that its file names, and how it
# answers.  sms: 1 makes the sign-up by otpreg_sms and a number.

my @providers = (
    { name => 'twilio', host => 'api.twilio.com', sms => 1,
      path => '/2010-04-01/Accounts/AC00000000000000000000000000000000'
              . '/Messages.json',
      auth => basic("AC00000000000000000000000000000000:$secret"),
      type => 'application/x-www-form-urlencoded',
      fields => sub { { To => $_->{to}, From => '+15005550006',
                        Body => $_->{text} } },
      sent => { status => 201, body => '{"sid":"SM0","status":"queued"}' },
      invalid => { status => 400, body => '{"code":21211,"message":'
                   . '"Invalid \'To\' Phone Number","status":400}' },
      denied => { status => 401, body => '{"code":20003,"status":401}' },
      limit => { status => 429, body => '{"code":20429,"status":429}' },
      error => { status => 500, body => '{"code":20500,"status":500}' } },

    { name => 'vonage', host => 'api.nexmo.com', sms => 1,
      path => '/v1/messages', auth => basic("abcd1234:$secret"),
      type => 'application/json',
      fields => sub { { message_type => 'text', channel => 'sms',
                        to => $_->{to} =~ s/^\+//r, from => 'Example',
                        text => $_->{text}, client_ref => $_->{id},
                        ttl => 600 } },
      sent => { status => 202, body => '{"message_uuid":"aaaaaaaa-bbbb"}' },
      invalid => { status => 422, body => '{"title":"Invalid params"}' },
      denied => { status => 401, body => '{"title":"You did not provide'
                  . ' correct credentials."}' },
      limit => { status => 429, body => '{"title":"Rate Limit Hit"}' },
      error => { status => 500, body => '{"title":"Internal error"}' } },

    { name => 'plivo', host => 'api.plivo.com', sms => 1,
      path => '/v1/Account/MA0000000000000000ZZ/Message/',
      auth => basic("MA0000000000000000ZZ:$secret"),
      type => 'application/json',
      fields => sub { { src => '14155550123', dst => $_->{to}, type => 'sms',
                        text => $_->{text}, log => JSON::PP::false,
                        message_expiry => 600 } },
      sent => { status => 202, body => '{"message":"message(s) queued",'
                . '"message_uuid":["db3ce55a"],"api_id":"db342550"}' },
      invalid => { status => 400, body => '{"api_id":"9","error":"dst"}' },
      denied => { status => 401, body => 'Could not verify your access' },
      limit => { status => 429, body => '{"error":"rate_limit_exceeded"}' },
      error => { status => 500, body => '{"error":"server error"}' } },

    { name => 'sendgrid', host => 'api.sendgrid.com', html => 1,
      path => '/v3/mail/send', auth => "Bearer $secret",
      type => 'application/json',
      fields => sub { {
          personalizations => [{ to => [{ email => $_->{to} }],
                                 custom_args => { otpreg => $_->{id} } }],
          from => { email => 'noreply@example.com', name => 'Example' },
          subject => $_->{subject},
          content => [{ type => 'text/plain', value => $_->{text} },
                      $_->{html} ? { type => 'text/html',
                                     value => $_->{html} } : ()],
          tracking_settings => {
              click_tracking => { enable => JSON::PP::false,
                                  enable_text => JSON::PP::false },
              open_tracking => { enable => JSON::PP::false },
              subscription_tracking => { enable => JSON::PP::false } } } },
      sent => { status => 202, body => '' },
      invalid => { status => 400, body => '{"errors":[{"message":'
                   . '"Does not contain a valid address.","field":'
                   . '"personalizations.0.to.0.email"}]}' },
      denied => { status => 401, body => '{"errors":[{"message":'
                  . '"authorization required","field":null}]}' },
      limit => { status => 429, body => '{"errors":[{"field":null,'
                 . '"message":"too many requests"}]}' },
      error => { status => 500, body => '{"errors":[{"message":'
                 . '"internal server error"}]}' } },

    { name => 'mailgun', host => 'api.mailgun.net', html => 1,
      path => '/v3/mg.example.com/messages', auth => basic("api:$secret"),
      type => 'application/x-www-form-urlencoded',
      fields => sub { { from => 'Example <noreply@mg.example.com>',
                        to => $_->{to}, subject => $_->{subject},
                        text => $_->{text},
                        $_->{html} ? (html => $_->{html}) : (),
                        'o:tracking' => 'no', 'v:otpreg' => $_->{id} } },
      sent => { status => 200, body => '{"id":"<0@mg.example.com>",'
                . '"message":"Queued. Thank you."}' },
      invalid => { status => 400, body => '{"message":"to parameter is not a'
                   . ' valid address. please check documentation."}' },
      denied => { status => 401, body => 'Forbidden' },
      limit => { status => 420, body => '{"message":"Domain mg.example.com is'
                 . ' not allowed to send: limit exceeded"}' },
      error => { status => 500, body => '{"message":"Internal Server Error"}'
      } },

    { name => 'postmark', host => 'api.postmarkapp.com', html => 1,
      path => '/email', token => $secret, type => 'application/json',
      fields => sub { { From => 'Example <noreply@example.com>',
                        To => $_->{to}, Subject => $_->{subject},
                        TextBody => $_->{text},
                        $_->{html} ? (HtmlBody => $_->{html}) : (),
                        MessageStream => 'outbound',
                        TrackOpens => JSON::PP::false, TrackLinks => 'None',
                        Metadata => { otpreg => $_->{id} } } },
      sent => { status => 200, body => '{"To":"x","SubmittedAt":"2026-01-01T'
                . '00:00:00Z","MessageID":"0","ErrorCode":0,"Message":"OK"}' },
      invalid => { status => 422, body => '{"ErrorCode":300,"Message":'
                   . '"Invalid \'To\' address"}' },
      denied => { status => 401, body => '{"ErrorCode":10,"Message":'
                  . '"Bad or missing API token"}' },
      limit => { status => 429, body => '{"ErrorCode":429,"Message":"Rate'
                 . ' Limit Exceeded"}' },
      error => { status => 500, body => '{"ErrorCode":500,"Message":"x"}' } },

    { name => 'resend', host => 'api.resend.com', html => 1, key => 1,
      path => '/emails', auth => "Bearer $secret", type => 'application/json',
      fields => sub { { from => 'Example <noreply@example.com>',
                        to => [$_->{to}], subject => $_->{subject},
                        text => $_->{text},
                        $_->{html} ? (html => $_->{html}) : () } },
      sent => { status => 200, body => '{"id":"49a3999c-0ce1"}' },
      invalid => { status => 422, body => '{"statusCode":422,"name":'
                   . '"validation_error","message":"Invalid `to` field."}' },
      denied => { status => 401, body => '{"name":"missing_api_key"}' },
      limit => { status => 429, body => '{"name":"rate_limit_exceeded"}' },
      error => { status => 500, body => '{"name":"application_error"}' } },
);

sub basic { 'Basic ' . encode_base64($_[0], '') }


# ----- certificates, and nginx in front of the stand-in

sub openssl {
    system("cd '$dir' && openssl @_ >>openssl.log 2>&1") == 0
        or BAIL_OUT("openssl @_\n" . slurp("$dir/openssl.log"));
}

my $key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

sub certificate {
    my ($name, $ca, @hosts) = @_;
    spew("$dir/$name.ext", $hosts[0] eq 'CA'
         ? "basicConstraints=critical,CA:true\n"
         : 'subjectAltName=' . join(',', map { "DNS:$_" } @hosts) . "\n");
    openssl("req $key -subj /CN=$name -keyout $name.key -out $name.csr");
    openssl("x509 -req -in $name.csr -CA $ca.crt -CAkey $ca.key -days 2"
            . ' -set_serial ' . int(1 + rand 1e9)
            . " -extfile $name.ext -out $name.pem");
}

for my $ca ('ca', 'foreign') {
    openssl("req -x509 $key -days 2 -subj /CN=$ca -keyout $ca.key"
            . " -out $ca.crt");
}

my @hosts = map { $_->{host} } @providers;
certificate('middle', 'ca', 'CA');
spew("$dir/middle.crt", slurp("$dir/middle.pem"));
certificate('good', 'middle', @hosts);
certificate('other', 'middle', 'api.example.com');
certificate('unknown', 'foreign', @hosts);
spew("$dir/$_.crt", slurp("$dir/$_.pem") . slurp("$dir/middle.crt"))
    for qw(good other unknown);

my $stand_in = provider_start();
my %port = map { $_ => OtpReg::Env::free_port() }
           qw(good other unknown none again);

# a provider's end is passed on as one: RST, after no answer

my $front = OtpReg::Nginx->start('', modules => '', main_config => '',
    http_config => join '', map { <<"END" } qw(good other unknown));
server {
    listen 127.0.0.1:$port{$_} ssl;
    @{[ $_ eq 'good' ? "listen 127.0.0.1:$port{again} ssl;" : '' ]}
    ssl_certificate $dir/$_.crt;
    ssl_certificate_key $dir/$_.key;
    reset_timedout_connection on;
    location / {
        proxy_pass http://127.0.0.1:$stand_in;
        proxy_set_header Host \$http_host;
        proxy_set_header X-Host \$http_host;
        proxy_set_header X-Name \$ssl_server_name;
        proxy_set_header X-Connection "\$http_connection";
        proxy_set_header X-Protocol "\$server_protocol \$ssl_protocol";
        proxy_set_header X-Requests \$connection_requests;
        proxy_next_upstream off;
        proxy_ignore_headers X-Accel-Redirect;
        proxy_pass_header X-Accel-Redirect;
        proxy_buffer_size 128k;
        proxy_buffers 4 128k;
        proxy_busy_buffers_size 256k;
        error_page 502 = \@reset;
    }
    location \@reset { return 444; }
}
END


# ----- nginx with a site for each provider

my $nginx = OtpReg::Nginx->start('', log_level => 'info', workers => 1);
my $conf = $nginx->prefix . '/conf/otpreg';
make_path("$conf/couriers", $nginx->prefix . '/html/tpl');

my $echo = '<!--# echo var="otpreg_code" encoding="none" -->';
spew($nginx->prefix . '/html/tpl/otp.txt', encode_utf8(
    "Subject: $subject\n\n$text" =~ s/CODE/$echo/gr));
spew($nginx->prefix . '/html/tpl/otp.html', encode_utf8(
    $html =~ s/CODE/$echo/gr));

# a shipped file with other addresses; every one must be there, once

sub install {
    my ($file, %replace) = @_;
    my $shipped = slurp("$couriers/$file") // die "no $couriers/$file\n";

    for my $from (sort keys %replace) {
        my $count = $shipped =~ s/^([^#\n]*)\Q$from\E/$1$replace{$from}/gm;
        is $count, 1, "$file: $from";
    }

    spew("$conf/couriers/$file", $shipped);
}

# the commands of its head make the secret file

sub install_secret {
    my ($name, $file) = @_;

    spew("$conf/$file", "old\n", 0644);
    provider_secret(slurp("$couriers/$name.conf"), $conf, $secret);
    is sprintf('%o', (stat "$conf/$file")[2] & 07777), '600',
       "$name: its commands make $file, mode 0600, of one that all read";
    like slurp("$conf/$file"), qr/\Q$secret\E|[A-Za-z0-9+\/]{30}/,
         'with the secret';
}

# a name with two addresses, for the one that may go on to the next

sub install_http {
    my ($port) = @_;

    for my $p (@providers) {
        my $server = "server 127.0.0.1:$port";
        $server = "server 127.0.0.1:$port{again} fail_timeout=3s; $server"
            if $p->{key} && $port == $port{good};
        install("$p->{name}-http.conf", "server $p->{host}:443" => $server);
    }
}

# What a careless server may have, which must not spoil a courier: a failure
# that is made a success, headers, a cache.

sub site {
    my ($name, $port, $directive) = @_;
    return <<"END";
server {
    listen 127.0.0.1:$port;
    server_name localhost;
    error_page 400 401 500 502 503 504 =200 /sorry;
    proxy_set_header Referer https://www.example.com/register;
    proxy_set_header Cookie "session=1";
    proxy_intercept_errors on;
    proxy_cache careless;
    proxy_cache_methods GET HEAD POST;
    proxy_cache_key \$uri;
    proxy_cache_valid any 1h;

    otpreg_site $name;
    $directive /courier/$name;
    @{[ $directive eq 'otpreg_sms'
        ? 'otpreg_fields username=required phone=required;' : '' ]}
    otpreg_sms_text /tpl/otp.txt;
    otpreg_mail_text /tpl/otp.txt;
    otpreg_mail_html \$test_html;
    location = /register { otpreg_register /none.html; }
    location = /verify-otp { otpreg_verify /none.html; }
    location = /sorry { return 200 sorry; }
    location = /stolen { return 200 stolen; }
    location /tpl/ { internal; root @{[ $nginx->prefix ]}/html; }
    include otpreg/couriers/$name.conf;
}
END
}

my %site;
my $http = default_http_config() . <<'END';
otpreg_password_hash memory=7m operations=5;
otpreg_code_length 10;
otpreg_code_lifetime 60m;
ssi on;
ssi_types text/plain;
types { text/html html; text/plain txt; }
proxy_cache_path @DIR@/careless keys_zone=careless:1m;
map $otpreg_to $test_html { ~plain ""; default /tpl/otp.html; }
END
$http =~ s/\@DIR\@/$dir/;

# nginx keeps the last TLS session of an address, also at its exit

$http .= "proxy_ssl_session_reuse off;\n" if $ENV{ASAN_OPTIONS};

sub add_site {
    my ($name, $sms) = @_;
    $site{$name} = OtpReg::Env::free_port();
    $http .= "include otpreg/couriers/$name-http.conf;\n"
        if -f "$couriers/$name-http.conf";
    $http .= site($name, $site{$name}, $sms ? 'otpreg_sms' : 'otpreg_mail');
}

subtest 'the files are all there is' => sub {
    is_deeply [sort map { m{([^/]+)\.conf$} } grep { !/-http/ }
               glob "$couriers/*.conf"],
              [sort 'ses', 'smtp', map { $_->{name} } @providers],
              'each is tested';

    for my $p (@providers) {
        install("$p->{name}.conf",
                '/etc/ssl/certs/ca-certificates.crt' => "$dir/ca.crt");
        install_secret($p->{name}, "$p->{name}.secret");
        my $file = slurp("$couriers/$p->{name}.conf");
        like $file, qr/^    \Q$_\E;/m, "$p->{name}: $_"
            for 'internal', 'proxy_ssl_verify on', 'proxy_ssl_server_name on',
                "proxy_ssl_name $p->{host}", 'proxy_pass_request_headers off',
                'proxy_redirect off', 'proxy_connect_timeout 5s',
                'proxy_read_timeout 10s', 'proxy_http_version 1.1',
                'proxy_cache off', 'proxy_next_upstream_tries 2',
                'proxy_next_upstream error timeout'
                . ($p->{key} ? ' non_idempotent' : '');
        add_site($p->{name}, $p->{sms});
    }

    install_http($port{good});
};

my $real = smtp_real('starttls', 'relay', $secret);
my $real_port = $real ? $real->{port} : OtpReg::Env::free_port();
my $stub_port = smtp_start(auth => "relay:$secret");
my %smtp_host = (ses => 'email-smtp.eu-central-1.amazonaws.com:587',
                 smtp => 'mail.example.com:587');
my %smtp_user = (ses => 'AKIAEXAMPLE', smtp => 'noreply@example.com');

sub install_smtp {
    my ($host, %more) = @_;

    for my $name (sort keys %smtp_host) {
        install("$name.conf", "//$smtp_host{$name}" => "//$host",
                "user=$smtp_user{$name}" => 'user=relay', %more);
    }
}

subtest 'and the SMTP ones' => sub {
    install_smtp("localhost:$real_port", 'starttls=on' => 'starttls=on'
                 . ' ca=' . ($real ? $real->{ca} : "$dir/ca.crt"));

    for my $name (sort keys %smtp_host) {
        install_secret($name, "$name-password");
        like slurp("$couriers/$name.conf"), qr/ starttls=on$/m, 'STARTTLS';
        add_site($name);
    }
};

sub reload_nginx {
    ok $nginx->reload(http_config => $http, wait => 20), 'loaded'
        or BAIL_OUT(join '', grep { /emerg/ } $nginx->error_log_lines);
}

reload_nginx();


# ----- sign-ups and their messages

my (@addresses, @codes, %table);

sub signup {
    my ($p, $what) = @_;
    $n++;
    my $user = sprintf '%s%03d', $what // 'user', $n;
    my $to = $p->{sms} ? sprintf '+4915112345%03d', $n
                       : "$user\@example.com";
    my $res = OtpReg::HTTP::http('POST', '/register',
        port => $site{$p->{name}}, timeout => 30, json => {
            username => $user, $p->{sms} ? (phone => $to) : (email => $to),
            password => $password, confirm_password => $password });
    $res->{status} == 201 or die "no sign-up: $res->{raw}";
    push @addresses, $to;
    return { to => $to, cookie => $res->{cookie}, provider => $p };
}

sub look_at {
    my %by_to = map { $_->{to} => $_ } @_;
    my $list = join ',', map { "'$_'" } keys %by_to;

    for my $row (sql("SELECT address, LOWER(HEX(id)), attempts,
                      sent_at IS NOT NULL, failed_at IS NOT NULL, last_error,
                      TIMESTAMPDIFF(SECOND, NOW(6), due_at)
                      FROM messages WHERE address IN ($list)"))
    {
        my ($to, @values) = @$row;
        @{ $by_to{$to} }{qw(id attempts sent failed error wait)} = @values;
    }
}

# what became of the first attempt of each: their {fate}

sub wait_fates {
    my ($messages, $seconds) = @_;
    my @open = @$messages;

    wait_until(sub {
        look_at(@open);
        for my $m (@open) {
            $m->{fate} = $m->{sent} ? 'sent' : $m->{failed} ? 'given up'
                         : $m->{error} ? 'tried again' : undef;
        }
        @open = grep { !$_->{fate} } @open;
        !@open;
    }, $seconds // 20, 0.05);
}

# whatever waits is due now, until none of these waits

sub wait_done {
    my (@messages) = @_;
    wait_until(sub {
        sql("UPDATE messages SET due_at = NOW(6), lease = NULL
             WHERE due_at IS NOT NULL AND lease IS NULL");
        look_at(@messages);
        !grep { !$_->{sent} && !$_->{failed} } @messages;
    }, 30, 0.2);
}

# the requests about a message: its address is in all of them

sub requests_for {
    my ($m, @requests) = @_;
    my $to = $m->{to} =~ s/^\+//r;
    my $mark = join '|', map { quotemeta } $to, $to =~ s/\@/%40/r;
    @requests = provider_requests() if !@requests;
    return grep { $_->{body} =~ /$mark/ } @requests;
}

sub fields {
    my ($req) = @_;

    return $req->{json} if $req->{headers}{'content-type'} =~ /json/;

    my %fields;
    for my $pair (split /&/, $req->{body}) {
        my ($name, $value) = map { tr/+/ /; s/%(..)/chr hex $1/ger }
                             split /=/, $pair, 2;
        fail("$name twice") if exists $fields{$name};
        $fields{$name} = decode_utf8($value, Encode::FB_CROAK);
    }
    return \%fields;
}

# a key is the message and the minutes that its code lives

sub key_of { $_[0]{headers}{'idempotency-key'} }
sub message_of { my $key = key_of($_[0]); $key && $key =~ s/-[0-9]+$//r }

sub logged {
    my ($m, $attempt, $fate, $error) = @_;
    my $line = $fate eq 'sent' ? "\\[info\\].*message $m->{id} sent"
             : $fate eq 'given up' ? "\\[error\\].*message $m->{id} given up"
             : ($error // '') =~ /answered 40[1-57]/
             ? "\\[error\\].*message $m->{id} not sent"
             : "\\[warn\\].*message $m->{id} not sent";
    $line .= ", attempt $attempt";
    $line .= ": \Q$error\E" if defined $error;
    ok $nginx->wait_log(qr/$line/), "$m->{provider}{name}: logged";
}

# One failure, at all providers at once.  $answer is that of the stand-in.
# Options: later (there was a Retry-After), next (nginx itself makes a second
# request where keys allow it), seconds, then (done before it is tried again,
# for what never reached the stand-in).

sub failure {
    my ($what, $fate, $error, $answer, %opt) = @_;

    subtest "attack 34: $what: $fate" => sub {
        for my $p (@providers) {
            my ($first) = map { ref $answer eq 'CODE' ? $answer->() : $answer }
                          $p;
            provider_behave_as($p->{host}, $first // (), $p->{sent});
        }

        my @messages = map { signup($_) } @providers;
        wait_fates(\@messages, $opt{seconds});

        for my $m (@messages) {
            my $name = $m->{provider}{name};
            my $fate = $opt{next} && $m->{provider}{key} ? 'sent' : $fate;
            my $want = ref $error ? $error->($m->{provider}) : $error;
            undef $want if $fate eq 'sent';
            $table{$what}{$name} = $m->{fate};
            is $m->{fate}, $fate, "$name: $fate";
            is $m->{error}, $want, "$name: the reason" if defined $want;
            logged($m, 1, $fate, $want);
            cmp_ok $m->{wait}, '>', 900, "$name: Retry-After is obeyed"
                if $opt{later};
        }

        $opt{then}->() if $opt{then};
        wait_done(@messages);
        my @requests = provider_requests();

        for my $m (@messages) {
            my $name = $m->{provider}{name};
            my @mine = requests_for($m, @requests);

            if ($m->{fate} eq 'tried again') {
                ok $m->{sent}, "$name: sent later";
                cmp_ok $m->{attempts}, '>', 1, "$name: by another attempt";
                logged($m, $m->{attempts}, 'sent');
            }

            my $count = $m->{attempts} - ($opt{then} ? 1 : 0)
                        + ($opt{next} && $m->{provider}{key} ? 1 : 0);

            # none where both addresses of a name have just failed, nor of a
            # second attempt before what failed was mended
            cmp_ok scalar @mine,
                   $m->{provider}{key} || $opt{then} ? '<=' : '==', $count,
                   "$name: as many requests as attempts";
            ok scalar @mine, "$name: and one at least" if $opt{then};
            is scalar @mine, 2, "$name: nginx itself went on"
                if $opt{next} && $m->{provider}{key};
            is_deeply [map { message_of($_) } @mine],
                      [($m->{provider}{key} ? $m->{id} : undef) x @mine],
                      "$name: always the same key";
            is key_of($mine[0]), key_of($mine[1]), 'minutes and all'
                if $opt{next} && $m->{provider}{key};
        }
    };
}


subtest 'what the providers get' => sub {
    for my $p (@providers) {
        for my $what ('user', 'plain') {
            provider_behave_as($p->{host}, $p->{sent});
            my $m = signup($p, $what);
            wait_fates([$m]);
            is $m->{fate}, 'sent', "$p->{name}: sent ($what)";
            is $m->{attempts}, 1, 'at the first attempt';
            $table{success}{$p->{name}} = 'sent';
            logged($m, 1, 'sent');

            my ($req, @more) = requests_for($m);
            is scalar @more, 0, 'by one request';
            my $fields = fields($req);
            my ($code) = ($fields->{text} // $fields->{Body}
                          // $fields->{TextBody}
                          // $fields->{content}[0]{value}) =~ /\b(\d{10})\b/;
            push @codes, $code;

            my %message = (to => $m->{to}, id => $m->{id},
                           subject => $subject, text => $text,
                           html => $what eq 'plain' ? '' : $html);
            s/CODE/$code/ for values %message;
            $message{text} =~ s/\s+\z// if $p->{sms};
            my ($expected) = map { $p->{fields}->() } \%message;
            is_deeply $fields, $expected, 'every field'
                or diag explain $fields;

            my %h = %{ $req->{headers} };
            my $own = $p->{token} ? 'x-postmark-server-token'
                                  : 'authorization';
            is $req->{method}, 'POST', 'POST';
            is $req->{path}, $p->{path}, 'path';
            is $h{'content-type'}, $p->{type}, 'content type';
            is $h{accept}, 'application/json', 'accept';
            is $h{$own}, $p->{token} // $p->{auth}, 'authentication';
            is $h{'x-host'}, $p->{host}, 'host';
            is $h{'x-name'}, $p->{host}, 'server name indication';
            like $h{'x-protocol'}, qr/^HTTP\/1\.1 TLSv1\.[23]$/, 'protocol';
            is $h{'x-connection'} // '', '', 'the connection may be kept';
            is $h{'idempotency-key'}, $p->{key} ? "$m->{id}-60" : undef,
               'idempotency key';
            is_deeply [sort grep { !/^x-(?!postmark)|^connection$/ } keys %h],
                      [sort qw(accept content-length content-type host
                               user-agent), $own,
                       $p->{key} ? 'idempotency-key' : ()],
                      'and no other headers';
            is $h{'x-requests'}, $what eq 'plain' ? 2 : 1,
               'the connection is kept' if !$p->{key};

            my $res = OtpReg::HTTP::http('POST', '/verify-otp',
                port => $site{$p->{name}}, cookie => $m->{cookie},
                json => { otp => $code });
            is $res->{status}, 200, 'the code is right';
        }

        is OtpReg::HTTP::http('POST', "/courier/$p->{name}", form => {},
                              port => $site{$p->{name}})->{status}, 404,
           'no courier for clients';
    }
};


my $answered = sub {
    my ($kind) = @_;
    return sub { "the courier answered $_[0]{$kind}{status}" };
};

failure('400/422 invalid', 'given up', $answered->('invalid'),
        sub { $_->{invalid} });
failure('401 wrong key', 'tried again', $answered->('denied'),
        sub { $_->{denied} });
failure('402 no credit', 'tried again', 'the courier answered 402',
        { status => 402 });
failure('403', 'tried again', 'the courier answered 403', { status => 403 });
failure('404', 'tried again', 'the courier answered 404', { status => 404 });
failure('420', 'tried again', 'the courier answered 420', { status => 420 });
failure('302 elsewhere', 'given up', 'the courier answered 302',
        { status => 302, headers => { Location => '/elsewhere' } });
failure('307 to a private address', 'given up', 'the courier answered 307',
        { status => 307, headers => {
            Location => "http://127.0.0.1:$stand_in/elsewhere" } });
is scalar(grep { $_->{path} =~ /elsewhere/ } provider_requests()), 0,
   'attack 34: a redirect is not followed';
failure('408', 'tried again', 'the courier answered 408', { status => 408 });
failure('429 or 420', 'tried again', $answered->('limit'),
        sub { $_->{limit} });

# Postmark says it with a status that also means an address (and is one of
# those for the next courier); the others are the file's or the default ones

subtest 'answers of one provider only' => sub {
    for (['vonage', 402, '{"title":"Low balance"}', 'tried again'],
         ['mailgun', 402, '{"message":"Payment required"}', 'tried again'],
         ['twilio', 404, '{"code":20404,"status":404}', 'tried again'],
         ['postmark', 422, '{"ErrorCode":405,"Message":"Not allowed"}',
          'given up'],
         ['resend', 409, '{"name":"concurrent_idempotent_requests"}',
          'tried again'],
         ['resend', 403, '{"name":"invalid_api_key"}', 'tried again'],
         ['sendgrid', 409, '{}', 'given up'])
    {
        my ($name, $status, $body, $fate) = @$_;
        my ($p) = grep { $_->{name} eq $name } @providers;
        provider_behave_as($p->{host}, { status => $status, body => $body },
                           $p->{sent});
        my $m = signup($p);
        wait_fates([$m]);
        is $m->{fate}, $fate, "$name, $status: $fate";
        is $m->{error}, "the courier answered $status", 'the reason';
        wait_done($m);
        is $m->{sent}, $fate eq 'given up' ? 0 : 1, 'in the end';
    }
};

# Resend refuses a key that comes again with another body

subtest 'an idempotency key has one body' => sub {
    my ($p) = grep { $_->{key} } @providers;
    my $template = $nginx->prefix . '/html/tpl/otp.txt';
    my $before = slurp($template);
    my $minutes = '<!--# echo var="otpreg_expires_minutes" -->';
    spew($template, "$before\nIt expires in $minutes minutes.\n");

    provider_behave_as($p->{host}, ($p->{error}) x 2, $p->{sent});
    my $m = signup($p);
    wait_fates([$m]);
    sql("UPDATE messages SET expires_at = expires_at - INTERVAL 7 MINUTE
         WHERE address = '$m->{to}'");
    wait_done($m);
    is $m->{sent}, 1, 'sent';
    is $m->{attempts}, 3, 'at the third attempt';
    spew($template, $before);

    my @requests = requests_for($m);
    my %bodies;
    $bodies{ key_of($_) }{ $_->{body} }++ for @requests;
    is_deeply [map { fields($_)->{text} =~ /expires in (\d+) min/ } @requests],
              [60, 53, 53], 'the minutes that are left';
    is_deeply [sort keys %bodies], ["$m->{id}-53", "$m->{id}-60"],
              'their keys';
    is_deeply [map { scalar keys %$_ } values %bodies], [1, 1],
              'each with one body';
};

failure('429 Retry-After', 'tried again', $answered->('limit'),
        sub { +{ %{ $_->{limit} }, headers => { 'Retry-After' => 1000 } } },
        later => 1);
failure('500', 'tried again', $answered->('error'), sub { $_->{error} });
failure('503', 'tried again', 'the courier answered 503', { status => 503 });
failure('reset', 'tried again', 'the courier answered 502', { reset => 1 },
        next => 1);
failure('no answer', 'tried again', 'the courier answered 504',
        { status => 200, delay => 12 }, seconds => 20, next => 1);
failure('400 X-Accel-Redirect', 'given up', 'the courier answered 400',
        { status => 400, headers => { 'X-Accel-Redirect' => '/stolen' } });


subtest 'huge answers' => sub {
    my ($before) = $nginx->rss;

    failure('200, 8 MB', 'sent', undef,
            { status => 200, size => 8e6 });
    failure('200, endless', 'sent', undef,
            { status => 200, size => 8e6, endless => 1 });
    failure('400, 8 MB', 'given up', 'the courier answered 400',
            { status => 400, size => 8e6 });
    failure('headers of 64 KB', 'tried again', 'the courier answered 502',
            { status => 200, headers => { 'X-Long' => 'x' x 65536 } });

    my ($after) = $nginx->rss;
    cmp_ok $after - $before, '<', 8000,
           'attack 34: do not stay in memory'
        if !$ENV{ASAN_OPTIONS} && !$ENV{TEST_NGINX_USE_VALGRIND};
};


sub connect_failure {
    my ($what, $port) = @_;

    subtest $what => sub {
        install_http($port{$port});
        reload_nginx();
        failure($what, 'tried again', 'the courier answered 502', undef,
                then => sub { install_http($port{good}); reload_nginx() });
    };
}

connect_failure('refused', 'none');
connect_failure('certificate: name', 'other');
connect_failure('certificate: CA', 'unknown');

like $nginx->error_log, qr/certificate does not match "\Q$_\E"/,
     "$_: the name is in the log" for @hosts;
like $nginx->error_log, qr/certificate verify error: \(2[01]:/,
     'the unknown authority, too';


# What README.md says for names that are not looked up at the start: nginx loads
# it while there is no name server, as it does not with an upstream.

subtest 'a name that is looked up while nginx runs' => sub {
    my ($p) = grep { $_->{name} eq 'twilio' } @providers;
    my ($lines) = slurp("$couriers/README.md")
                  =~ /^```nginx\n(resolver .*?)^```$/ms;
    my $port = OtpReg::Env::free_port();
    $lines =~ s/\b127\.0\.0\.53\b/127.0.0.1:$port/ or die 'no resolver';
    $lines =~ s/\$provider\K\//:$port{good}\// or die 'no proxy_pass';

    my $file = slurp("$conf/couriers/twilio.conf");
    my $more = slurp("$conf/couriers/twilio-http.conf");
    spew("$conf/couriers/twilio.conf",
         $file =~ s/^ *proxy_pass .*\n/$lines/mr);
    spew("$conf/couriers/twilio-http.conf", '');
    provider_behave_as($p->{host}, $p->{sent});
    reload_nginx();

    my $m = signup($p);
    wait_fates([$m]);
    is $m->{fate}, 'tried again', 'while there is no name server';
    is $m->{error}, 'the courier answered 502', 'the reason';

    dns_start($port);
    wait_done($m);
    is $m->{sent}, 1, 'sent when it is back';
    my ($req) = requests_for($m);
    is $req->{headers}{'x-name'}, $p->{host}, 'server name indication';
    is $req->{path}, $p->{path}, 'path';

    spew("$conf/couriers/twilio.conf", $file);
    spew("$conf/couriers/twilio-http.conf", $more);
    reload_nginx();
};


# ----- SMTP

my @smtp = map { { name => $_ } } sort keys %smtp_host;

sub smtp_case {
    my ($what, $fate, $rule, %opt) = @_;

    subtest "attack 34: SMTP, $what: $fate" => sub {
        smtp_behave($rule || ());
        my @messages = map { signup($_) } @smtp;

        wait_fates(\@messages, 30);

        for my $m (@messages) {
            is $m->{fate}, $fate, "$m->{provider}{name}: $fate";
            $table{"SMTP: $what"}{$m->{provider}{name}} = $m->{fate};
            like $m->{error} // '', $opt{error}, 'the reason' if $opt{error};
            logged($m, 1, $fate, $m->{error});
        }

        smtp_behave();
        return if $opt{stay};

        wait_done(@messages);
        is $_->{sent}, $fate eq 'given up' ? 0 : 1, 'in the end'
            for @messages;
    };
}

SKIP: {
    skip 'no aiosmtpd', 1 if !$real;

    smtp_case('success', 'sent');

    for my $to (@addresses[-2, -1]) {
        my $mail = wait_mail($to);
        ok $mail->{tls} && $mail->{login}, 'encrypted and authenticated';
        like $mail->{headers}{from}, qr/Example <noreply\@example\.com>/,
             'from';
        my ($code) = $mail->{text} =~ /\b(\d{10})\b/;
        push @codes, $code;
        is $mail->{subject}, $subject =~ s/CODE/$code/r, 'subject';
        is $mail->{text}, $text =~ s/CODE/$code/r, 'text';
        is $mail->{html}, $html =~ s/CODE/$code/r, 'HTML';
    }

    for my $name (sort keys %smtp_host) {
        spew("$conf/$name-password", "wrong\n", 0600);
    }
    reload_nginx();
    smtp_case('wrong password', 'tried again', undef, stay => 1,
              error => qr/^SMTP: .*AUTH.*535/);
    for my $name (sort keys %smtp_host) {
        spew("$conf/$name-password", "$secret\n", 0600);
    }

    install_smtp("localhost:$real_port",
                 'starttls=on' => "starttls=on ca=$dir/ca.crt");
    reload_nginx();
    smtp_case('certificate: CA', 'tried again', undef, stay => 1,
              error => qr/^SMTP: .*STARTTLS/);
}

# the stub has no TLS

install_smtp("127.0.0.1:$stub_port");
reload_nginx();
smtp_case('no STARTTLS', 'tried again', undef, stay => 1,
          error => qr/^SMTP: .*STARTTLS/);
unlike smtp_log(), qr/ C: (?:AUTH|MAIL|RCPT)/, 'nothing was said in clear';

install_smtp("127.0.0.1:$stub_port", 'starttls=on' => '');
reload_nginx();
smtp_case('454 throttling', 'tried again',
          { cmd => 'EOD',
            reply => '454 Throttling failure: Maximum sending rate exceeded.' },
          error => qr/^SMTP: .*454/);
smtp_case('550 no such user', 'given up',
          { cmd => 'RCPT', reply => '550 5.1.1 no such user' },
          error => qr/^SMTP: .*550/);
smtp_case('554 refused', 'given up',
          { cmd => 'EOD', reply => '554 Message rejected: Email address is'
                                   . ' not verified.' },
          error => qr/^SMTP: .*554/);
smtp_case('closed', 'tried again', { cmd => 'MAIL', close => 1 });
smtp_case('no answer', 'tried again',
          { cmd => 'MAIL', delay => 60 });


# ----- the end

my $log = $nginx->error_log;
my @found = grep { index($log, $_) >= 0 } @addresses, @codes, $secret,
            encode_base64($secret, '') =~ s/=.*//sr, $password;
is_deeply \@found, [], 'no address, code or secret in the log';
is_deeply [$_->bad_log_lines], [], 'nothing bad in the log'
    for $nginx, $front;
ok $nginx->quit(60), 'quit';

for my $list ([map { $_->{name} } @providers], [map { $_->{name} } @smtp]) {
    note sprintf '%-22s' . ' %-12s' x @$list, '', @$list;

    for my $what (sort grep { exists $table{$_}{$list->[0]} } keys %table) {
        note sprintf '%-22s' . ' %-12s' x @$list, $what,
             map { $table{$what}{$_} // '-' } @$list;
    }
}

done_testing();
