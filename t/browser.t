#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The pages and mails of conf-examples, with the demo's own nginx.conf, in a
# real browser: with and without JavaScript, on a desk and on a phone.
#
# OTPREG_SCREENSHOTS=dir keeps pictures of the main states, light and dark.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Browser;
use OtpReg::Env qw(root_dir free_port);
use OtpReg::Nginx;
use File::Path qw(make_path);
use Test::More;

my $Password = 'seven grey herons at noon';
my @Labels = ('Username', 'Email address', 'Password', 'Confirm password');
my $Evil = '"><script>alert(1)</script>';
my $Evil_port = free_port();
my $Examples = root_dir() . '/conf-examples';


# ----- nginx

# the inside of the demo's server {}, with the test's database and courier

sub demo_config {
    my $text = slurp("$Examples/demo/nginx.conf");
    my ($inside) = $text =~ /^    server \{\n(.*?)^    \}\n/ms
                   or die "no server in the demo's nginx.conf\n";
    my $smtp = "otpreg_smtp smtp://127.0.0.1:$ENV{TEST_NGINX_SMTP_PORT}"
               . ' from=noreply@example.com;';

    for ([qr/^ *listen .*?;\n/m, ''], [qr/^ *server_name .*?;\n/m, ''],
         [qr/^ *otpreg_database .*?;\n/ms, ''],
         [qr/^ *otpreg_key_file .*?;\n/m, ''],
         [qr/^ *otpreg_cookie_secure off;.*?\n/m, ''],
         [qr/otpreg_console;/, $smtp])
    {
        my ($old, $new) = @$_;
        $inside =~ s/$old/$new/ or die "the demo's nginx.conf lacks $old\n";
    }

    return $inside =~ s/\@EXAMPLES\@/$Examples/gr;
}

my ($Types) = slurp("$Examples/demo/nginx.conf") =~ /^(    types .*?\n    \})/ms
              or die "no types in the demo's nginx.conf\n";

# Another site, whose page posts to ours.

my $Others = <<"EOC";
server {
    listen 127.0.0.1:$Evil_port;
    default_type text/html;

    location / {
        root @{[ test_dir() ]}/evil;
    }
}
EOC

# A page of ours that breaks its own policy: this proves that the browser's
# complaints are seen.

my $More_pages = <<'EOC';
location = /bad-page {
    default_type text/html;
    add_header Content-Security-Policy "default-src 'self'";
    return 200 "<title>bad</title><script>alert(1)</script><p>bad";
}
EOC

sub start_nginx {
    my ($more, $others) = @_;
    return OtpReg::Nginx->start(
        demo_config() . $More_pages . $more, location => 0,
        http_config => default_http_config()
                       . "$Types\ncharset utf-8;\n" . ($others // ''));
}

my $Nginx = start_nginx('', $Others);
my $Soon = start_nginx('otpreg_resend_delay 1s;');
my $Secure = start_nginx('otpreg_cookie_secure on;');


# ----- what a person does

sub fresh_name { state $n = 0; return 'person' . ++$n }

# with the fields of the page, found by their labels

sub fill_in {
    my ($browser, @values) = @_;

    for my $label (@Labels) {
        my $field = $browser->field($label)
                    // die qq{no field "$label" on the page\n};
        $browser->clear($field);
        $browser->type($field, shift @values);
    }
}

sub open_form {
    my ($browser, $nginx) = @_;
    $browser->go(($nginx // $Nginx)->port, '/register',
                 ($browser->{hosts} // [])->[0]);
}

# sign up to the page that asks for the code; returns the address

sub sign_up {
    my ($browser, $nginx) = @_;

    my $name = fresh_name();
    open_form($browser, $nginx);
    fill_in($browser, $name, "$name\@example.com", $Password, $Password);
    $browser->press('Create account');
    is $browser->path, '/verify-otp', "$name: the page that asks for the code";

    return "$name\@example.com";
}

sub enter_code {
    my ($browser, $code) = @_;
    $browser->clear($browser->field('Code'));
    $browser->type($browser->field('Code'), $code);
    $browser->press('Verify');
}

sub wrong_code { sprintf '%06d', ($_[0] + 1) % 1_000_000 }

sub is_active {
    my ($address) = @_;
    return scalar sql("SELECT CONCAT(is_active, IF(email_verified_at IS NULL,
                       '', ' verified')) FROM users WHERE email = '$address'");
}

# autofocus comes a moment after the page

sub focus_is {
    my ($browser, $id, $what) = @_;
    my $now;
    wait_until(sub { $now = $browser->attribute($browser->focused, 'id');
                     ($now // '') eq $id });
    is $now, $id, $what;
}

sub invalid_ids {
    my ($browser) = @_;
    return join ' ', map { $browser->attribute($_, 'id') }
                     $browser->find_all('[aria-invalid=true]');
}

sub no_problems {
    my ($browser) = @_;
    my @problems = $browser->problems;
    is_deeply \@problems, [], $browser->path
                              . ': no violation of the policy, no error';
}

sub shot {
    my ($browser, $name) = @_;
    my $dir = $ENV{OTPREG_SCREENSHOTS} // return;

    make_path($dir);
    for my $scheme (qw(light dark)) {
        $browser->media('prefers-color-scheme' => $scheme,
                        'prefers-reduced-motion' => 'reduce');
        $browser->screenshot("$dir/$name-$scheme.png");
    }
    $browser->media('prefers-color-scheme' => 'light');
}

# run a subtest in a browser of its own

sub in_browser {
    my ($name, $opt, $code) = @_;

    subtest $name => sub {
        my $browser = OtpReg::Browser->start(%$opt);
        $code->($browser);
        is $browser->alert, undef, 'no alert is open';
        no_problems($browser);
        $browser->quit;
    };
}


# ----- a sign-up

sub whole_sign_up {
    my ($browser, $kind) = @_;

    open_form($browser);
    is $browser->title, 'Create your account', 'the form';
    is scalar $browser->find_all('.entry button'),
       $browser->{javascript} ? 2 : 0, 'buttons that show the passwords';
    is $browser->find('[aria-invalid], .notice, .wrong'), undef,
       'nothing is wrong yet';
    focus_is($browser, 'username', 'one can type at once');
    shot($browser, "$kind-register");
    no_problems($browser);

    my $address = sign_up($browser);
    my $code = code_for($address, 10);
    like $browser->text, qr/sent to: \Q$address\E\n/, 'it says where to look';
    like $browser->text, qr/^Username: \Q@{[ $address =~ s{@.*}{}r ]}\E$/m,
         'and for whom';
    my ($min, $sec) = $browser->{javascript}
                      ? ('minutes', 'seconds?') : ('min', 's');
    like $browser->text, qr/It is valid for another 10 $min\./,
         'and how long it lives';
    like $browser->text, qr/another message in [1-6]?\d $sec\./,
         'when one may ask for it again';
    is $browser->enabled($browser->button('Send the code again')),
       $browser->{javascript} ? 0 : 1, 'scripts keep that button disabled';
    is is_active($address), 0, 'not active yet';
    focus_is($browser, 'otp', 'one can type the code at once');
    shot($browser, "$kind-verify");
    no_problems($browser);

    for my $left (qw(4 3)) {
        enter_code($browser, wrong_code($code));
        is $browser->title, 'Error: Verify your email address', 'a wrong code';

        my $field = $browser->field('Code');
        is $browser->attribute($field, 'aria-invalid'), 'true', 'is invalid';
        like join('|', $browser->described_by($field)),
             qr/^Error:\ Invalid\ OTP\.\ Please\ try\ again\.
                \ Attempts\ left:\ $left\|/x,
             'the message beside it and the attempts';
        is $browser->property($field, 'value'), '', 'it is not kept';
        focus_is($browser, 'otp', 'has the focus');
        is is_active($address), 0, 'not active';
        no_problems($browser);
    }

    shot($browser, "$kind-verify-wrong");
    enter_code($browser, $code);
    is $browser->path, '/pages/login.html', 'the right code: the log-in page';
    like $browser->text, qr/your account is ready/, 'says that it is done';
    is is_active($address), '1 verified', 'the user is active';
    shot($browser, "$kind-login");
}

sub fits {
    my ($browser) = @_;

    my @size = @{ $browser->script(
        'return [document.documentElement.scrollWidth, innerWidth]') };
    is $size[1], 360, 'the width of a phone';
    cmp_ok $size[0], '<=', 360, 'no scrolling sideways';

    my $small = $browser->script(<<'EOC');
return [...document.querySelectorAll(
    'input:not([type=radio]), .choice, button')].filter((e) =>
    e.offsetHeight < 40 || parseFloat(getComputedStyle(e).fontSize) < 15)
    .map((e) => e.outerHTML);
EOC
    is_deeply $small, [], 'nothing too small for a finger';
}

in_browser('a sign-up', {}, sub { whole_sign_up($_[0], 'desktop') });

in_browser('a sign-up without JavaScript', { javascript => 0 },
           sub { whole_sign_up($_[0], 'noscript') });

in_browser('a sign-up on a phone', { phone => 1 }, sub {
    my ($browser) = @_;
    open_form($browser);
    fits($browser);
    whole_sign_up($browser, 'phone');
    sign_up($browser);
    fits($browser);
});

in_browser('a sign-up on a phone without JavaScript',
           { phone => 1, javascript => 0 },
           sub { whole_sign_up($_[0], 'phone-noscript') });

# Over plain HTTP a browser tells nothing of itself but Origin; localhost and
# 127.0.0.1 are as good as HTTPS.

in_browser('attack 21: a sign-up over plain HTTP', { hosts => ['app.test'] },
           sub { whole_sign_up($_[0], 'plain') });

in_browser('attack 21: one without JavaScript',
           { hosts => ['app.test'], javascript => 0 },
           sub { whole_sign_up($_[0], 'plain-noscript') });

in_browser('a secure cookie, over plain HTTP', { hosts => ['app.test'] }, sub {
    my ($browser) = @_;

    my $name = fresh_name();
    open_form($browser, $Secure);
    fill_in($browser, $name, "$name\@example.com", $Password, $Password);
    $browser->press('Create account');
    is $browser->path, '/register', 'the form again';
    like $browser->text, qr/works over a secure connection only/, 'says why';
    is is_active("$name\@example.com"), undef, 'nothing was written';
    like $Secure->error_log, qr/a form came over plain HTTP/,
         'and so does the log';
});


# ----- errors

# without the script's own look at the passwords

sub submit_as_it_is {
    my ($browser) = @_;

    $browser->script(<<'EOC') if $browser->{javascript};
document.querySelector('form.signup').addEventListener('submit',
    (event) => event.stopImmediatePropagation(), true);
EOC
    $browser->press('Create account');
}

sub errors {
    my ($browser) = @_;

    open_form($browser);
    fill_in($browser, 'a b', 'x@', 'too-short', 'another');
    submit_as_it_is($browser);
    is $browser->path, '/register', 'the form again';
    is $browser->title, 'Error: Create your account', 'its title says why';
    is invalid_ids($browser), 'username email password confirm_password',
       'every field is invalid';
    focus_is($browser, 'username', 'the first has the focus');

    my %message = ('Username' => 'Enter a valid username:',
                   'Email address' => 'Enter a valid email address.',
                   'Password' => 'Use at least 15 characters.',
                   'Confirm password' => 'Passwords do not match.');
    my %kept = ('Username' => 'a b', 'Email address' => 'x@');
    my $summary = $browser->text($browser->find('[role=alert]'));

    for my $label (@Labels) {
        my $field = $browser->field($label);
        my ($first) = $browser->described_by($field);
        like $first, qr/^Error: \Q$message{$label}\E/,
             "$label: its message describes it";
        like $summary, qr/^\Q$label: $message{$label}\E/m,
             "$label: the summary has it, too";
        is $browser->property($field, 'value'), $kept{$label} // '',
           "$label: " . ($kept{$label} ? 'what was typed is kept'
                                       : 'a password is not');
        is $browser->attribute($browser->find("[role=alert] a[href='#"
               . $browser->attribute($field, 'id') . "']"), 'href'),
           '#' . $browser->attribute($field, 'id'), "$label: linked";
    }

    no_problems($browser);
    my @opt = $browser->{javascript} ? () : ('-noscript');
    shot($browser, join '', $browser->{phone} ? 'phone' : 'desktop',
                   '-register-wrong', @opt);

    for (['', 'a@b.example', $Password, $Password, 'username'],
         ['bob', '', $Password, $Password, 'email'],
         ['bob', 'b@b.example', 'bob@b', 'bob@b', 'password'],
         ['bob', 'b@b.example', $Password, 'x', 'confirm_password'])
    {
        my @values = @$_;
        my $id = pop @values;
        fill_in($browser, @values);
        submit_as_it_is($browser);
        is invalid_ids($browser), $id, "only $id is invalid";
        focus_is($browser, $id, 'and has the focus');
    }

    is sql("SELECT COUNT(*) FROM users WHERE username IN ('a b', 'bob')"), 0,
       'nothing was written';
}

in_browser('errors', {}, \&errors);
in_browser('errors without JavaScript', { javascript => 0 }, \&errors);
in_browser('errors on a phone', { phone => 1 }, \&errors);

in_browser('a password that is not as it must be', {}, sub {
    my ($browser) = @_;

    my $said = sub { ($browser->described_by($browser->field($_[0])))[-1] };
    my $still_here = sub {
        $browser->click($browser->button('Create account'));
        is $browser->property($browser->field('Password'), 'value'), $_[0],
           'is not sent, and kept';
        is $browser->title, 'Create your account', 'on the same page';
        focus_is($browser, $_[1], 'the field has the focus');
    };

    open_form($browser);
    my $name = fresh_name();
    fill_in($browser, $name, "$name\@example.com", 'a short one', 'a short');
    is $said->('Password'), 'Characters still missing: 4', 'too short';
    $still_here->('a short one', 'password');

    $browser->clear($browser->field('Password'));
    $browser->type($browser->field('Password'), $Password);
    is $said->('Password'), 'The password is long enough.', 'long enough';
    $still_here->($Password, 'confirm_password');
    is $said->('Confirm password'), 'Passwords do not match.', 'not the same';
    no_problems($browser);
    shot($browser, 'desktop-register-mismatch');

    $browser->clear($browser->field('Confirm password'));
    $browser->type($browser->field('Confirm password'), $Password);
    is $said->('Confirm password'), '', 'the same';
    $browser->press('Create account');
    is $browser->path, '/verify-otp', 'both are sent';
});

in_browser('a long word on a small button, with room between letters', {}, sub {
    my ($browser) = @_;

    open_form($browser);
    my $lines = $browser->script(<<'EOC');
document.documentElement.style.width = '320px';

return [...document.querySelectorAll('.entry button')].map((button) => {
  const words = document.createRange();

  button.textContent = 'Anzeigen';
  button.style.letterSpacing = '.12em';
  button.style.wordSpacing = '.16em';
  words.selectNodeContents(button);
  return words.getClientRects().length;
});
EOC
    is "@$lines", '1 1', 'it is not broken';
});

in_browser('an error that only the server sees', {}, sub {
    my ($browser) = @_;

    my $taken = sign_up($browser) =~ s/\@.*//r;
    sql("UPDATE users SET is_active = 1, verified_at = NOW(6),
         email_verified_at = NOW(6) WHERE username = '$taken'");

    open_form($browser);
    my $name = fresh_name();
    fill_in($browser, $taken, "$name\@example.com", $Password, $Password);
    $browser->press('Create account');
    is $browser->path, '/register', 'the form again';
    is $browser->title, 'Error: Create your account', 'its title says why';
    is invalid_ids($browser), 'username', 'what is wrong';
    focus_is($browser, 'username', 'has the focus');

    for ('Password', 'Confirm password') {
        my $field = $browser->field($_);
        is $browser->property($field, 'value'), $Password, "$_: kept";
        is $browser->attribute($field, 'type'), 'password', 'and hidden';
    }

    is scalar $browser->find_all('.entry button'), 2, 'the script works on';
    shot($browser, 'desktop-register-taken');
    $browser->clear($browser->field('Username'));
    $browser->type($browser->field('Username'), $name);
    $browser->press('Create account');
    is $browser->path, '/verify-otp', 'and all is well';

    enter_code($browser, code_for("$name\@example.com", 10));
    is is_active("$name\@example.com"), '1 verified',
       'with the password that was kept';
});

in_browser('names, roles and attributes', {}, sub {
    my ($browser) = @_;

    my @fields = (
        ['Username', 'textbox', 'username', 'text', undef],
        ['Email address', 'textbox', 'email', 'email', undef],
        ['Password', 'textbox', 'new-password', 'password', undef],
        ['Confirm password', 'textbox', 'new-password', 'password', undef],
        ['Code', 'textbox', 'one-time-code', 'text', 'numeric'],
    );

    my $check = sub {
        my (@expected) = @_;
        my @inputs = $browser->find_all('main > form :not(.trap) > input');
        is scalar @inputs, scalar @expected, 'all inputs are known';

        for my $input (@inputs) {
            my ($label, $role, $autocomplete, $type, $mode) =
                @{ shift @expected };
            is $browser->name($input), $label, "$label: accessible name";
            is $browser->role($input), $role, "$label: role";
            is $browser->attribute($input, 'autocomplete'), $autocomplete,
               "$label: autocomplete=$autocomplete";
            is $browser->property($input, 'type'), $type, "$label: type";
            is $browser->attribute($input, 'inputmode'), $mode,
               "$label: inputmode";
            ok $browser->attribute($input, 'required'), "$label: required";
        }
    };

    open_form($browser);
    $check->(@fields[0 .. 3]);
    is_deeply [map { $browser->name($_) } $browser->find_all('button')],
              ['Show Password', 'Show Confirm password', 'Create account'],
              'names of the buttons';
    is $browser->property($browser->find('html'), 'lang'), 'en', 'a language';

    my ($show) = $browser->find_all('.entry button');
    $browser->type($browser->field('Password'), $Password);
    $browser->click($show);
    is $browser->property($browser->field('Password'), 'type'), 'text',
       'a password can be seen';
    is $browser->name($show), 'Hide Password', 'and hidden again';

    sign_up($browser);
    $check->($fields[4]);
});


# ----- the code

for my $javascript (1, 0) {
    my $kind = $javascript ? '' : ' without JavaScript';

    in_browser("a pasted code$kind", { javascript => $javascript }, sub {
        my ($browser) = @_;

        my $address = sign_up($browser);
        my $code = code_for($address, 10);
        my $spaced = substr($code, 0, 3) . ' ' . substr($code, 3);
        my $field = $browser->field('Code');

        if ($javascript) {
            $browser->paste($field, "Your code is $spaced, for 10 minutes.");
            is $browser->property($field, 'value'), $code,
               'of a whole message only the code is left';
        }

        $browser->paste($field, $spaced);
        is $browser->property($field, 'value'), $javascript ? $code : $spaced,
           'as it is pasted';
        $browser->press('Verify');
        is $browser->path, '/pages/login.html', 'a space does no harm';
        is is_active($address), '1 verified', 'the user is active';
    });
}

in_browser('back, and once more', {}, sub {
    my ($browser) = @_;

    my $address = sign_up($browser);
    my $code = code_for($address, 10);

    # the same page in another tab, which is left as it is
    my $first = $browser->new_tab;
    $browser->go($Nginx->port, '/verify-otp');
    ok $browser->field('Code'), 'two tabs ask for the code';
    $browser->tab($first);

    enter_code($browser, $code);
    is is_active($address), '1 verified', 'one is answered';

    # Chromium may show the page as it was, or ask for it and get the form
    $browser->back;
    wait_until(sub { $browser->path ne '/pages/login.html' });

    if ($browser->field('Code')) {
        enter_code($browser, $code);
        says_no_signup($browser, 'back');
        shot($browser, 'desktop-back');

    } else {
        is $browser->path, '/register?no_signup=1', 'back: the form';
        is $browser->text($browser->find('[role=status]'))
               =~ s/ sign up first\..*//sr,
           'No sign-up in this browser is waiting for verification.'
           . ' If you have already verified it, log in. Otherwise,', 'and why';
    }

    my ($second) = grep { $_ ne $first } @{ $browser->get('/window/handles') };
    $browser->tab($second);
    ok $browser->field('Code'), 'the other tab still asks';
    enter_code($browser, $code);
    says_no_signup($browser, 'the other tab');
    is is_active($address), '1 verified', 'the user stays active';
});

# without a cookie there is no sign-up to go on with

sub says_no_signup {
    my ($browser, $what) = @_;

    is $browser->status, 409, "$what: refused";
    like $browser->text, qr/No sign-up in this browser is waiting for verification\./,
         "$what: it says why";
    ok !$browser->field('Code'), "$what: it asks for no code";

    my %links = ('Log in' => '/pages/login.html', 'Start again' => '/register');
    for my $name (sort keys %links) {
        my $link = $browser->link($name);
        is $link && $browser->attribute($link, 'href'), $links{$name},
           "$what: $name";
    }

    no_problems($browser);
}


# ----- sent again

in_browser('sent again too soon', { javascript => 0 }, sub {
    my ($browser) = @_;

    my $address = sign_up($browser);
    my $code = code_for($address, 10);

    $browser->press('Send the code again');
    like $browser->text, qr/Please wait [1-6]?\d s before/,
         'how many seconds to wait';
    ok $browser->field('Code'), 'the first code may be entered all the same';
    is sql("SELECT sends FROM otps WHERE address = '$address'"), 1,
       'it was sent once';
    no_problems($browser);
    shot($browser, 'desktop-resend-soon');

    enter_code($browser, $code);
    is is_active($address), '1 verified', 'and works';
    is mail_count($address), 1, 'one mail came';
});

for my $javascript (1, 0) {
    my $kind = $javascript ? '' : ' without JavaScript';

    in_browser("sent again$kind", { javascript => $javascript }, sub {
        my ($browser) = @_;

        my $address = sign_up($browser, $Soon);
        my $code = code_for($address, 10);
        my $sent = sub {
            wait_until(sub { $browser->enabled(
                           $browser->button('Send the code again')) });
            $browser->press('Send the code again');
            return $browser->text =~ /sent the code again\./;
        };

        ok wait_until($sent, 15), 'after a while the code is sent again';
        is $browser->text($browser->find('[role=status]')),
           'We have sent the code again.', 'it says so';
        is $browser->find('[aria-invalid], .wrong, [role=alert]'), undef,
           'nothing is wrong';
        like join('|', $browser->described_by($browser->field('Code'))),
             qr/^We have sent the code again\./,
             'a screen reader says it with the field';
        focus_is($browser, 'otp', 'which has the focus');
        no_problems($browser);
        shot($browser, 'desktop-resent') if $javascript;

        is code_for($address, 10, 2), $code,
           'the second mail has the same code';
        enter_code($browser, $code);
        is $browser->path, '/pages/login.html', 'which works';
        is is_active($address), '1 verified', 'the user is active';
    });
}


# ----- what is not done by loading a page again

in_browser('a wrong code, and the page loaded again', {}, sub {
    my ($browser) = @_;

    my $address = sign_up($browser);
    my $wrong = wrong_code(code_for($address, 10));

    for my $tried (1 .. 5) {
        enter_code($browser, $wrong);
        like $browser->text, qr/newest one has the right code/,
             'which of several codes it is' if $tried < 5;
        $browser->script('location.reload()');
        ok wait_until(sub { $browser->title =~ /^Error:/ xor $tried < 5 }, 10),
           'the page is asked for';
        is sql("SELECT attempts FROM otps WHERE address = '$address'"), $tried,
           'the code is not sent again';
    }

    ok !$browser->field('Code'), 'a code that is dead is not asked for';
    like $browser->text, qr/Too many wrong attempts/, 'the page says why';
    ok $browser->button('Send a new code'), 'and how to go on';
    is $browser->status, 200, 'and is no error';
    no_problems($browser);
});


# ----- a message that came back

in_browser('a message that came back while the page is open', {}, sub {
    my ($browser) = @_;

    my $address = sign_up($browser);
    code_for($address, 10);
    is $browser->find('[role=alert]'), undef, 'nothing is wrong yet';
    sql("UPDATE messages SET sent_at = NULL, failed_at = NOW(6)
         WHERE address = '$address'");
    sql("UPDATE otps SET sent_at = sent_at - INTERVAL 1 MINUTE
         WHERE address = '$address'");

    ok wait_until(sub { $browser->find('[role=alert]') }, 30, .5),
       'the page finds it out by itself';
    like $browser->text($browser->find('[role=alert]')),
         qr/The message with your code could not be delivered/, 'and says so';
    ok $browser->find('details[open]'), 'another address may be typed';
    no_problems($browser);
});


# ----- another address

for my $javascript (1, 0) {
    my $kind = $javascript ? '' : ' without JavaScript';

    in_browser("a typing error in the address$kind",
               { javascript => $javascript }, sub
    {
        my ($browser) = @_;

        my $wrong = sign_up($browser);
        my $right = $wrong =~ s/\@/.typed\@/r;
        my $summary = $browser->find('summary');

        is $browser->text($summary), 'Wrong email address?', 'it asks';
        ok !$browser->button('Send the code there')
           || $browser->find('details:not([open])'), 'and is closed';
        $browser->click($summary);
        shot($browser, 'desktop-change') if $javascript;

        my $field = $browser->field('Email address');
        is_deeply [$browser->described_by($field)],
            ['Everything else stays as you entered it.'], 'what stays is told';
        $browser->type($field, 'nobody');
        $browser->press('Send the code there');

        is $browser->path, '/resend-otp', 'no address';
        $field = $browser->field('Email address');
        is $browser->property($field, 'value'), 'nobody', 'stays in its field';
        is join('|', $browser->described_by($field)),
           'Error: Enter a valid email address.'
           . '|Everything else stays as you entered it.', 'which says it';
        focus_is($browser, 'address', 'which has the focus');
        ok $browser->field('Code'), 'the first code may be entered all the same';
        shot($browser, 'desktop-change-wrong') if $javascript;

        $browser->clear($field);
        $browser->type($field, $right);
        $browser->press('Send the code there');

        is $browser->path, '/verify-otp?changed=1', 'an address';
        is $browser->text($browser->find('[role=status]')),
           'We have sent the code to the new address or number.', 'it says so';
        like $browser->text, qr/sent to: \Q$right\E\n/, 'and to which';
        ok $browser->find('details:not([open])'), 'the question is closed';
        no_problems($browser);

        enter_code($browser, code_for($right, 10));
        is $browser->path, '/pages/login.html', 'the code that came there works';
        is is_active($right), '1 verified', 'the user has that address';
        is is_active($wrong), undef, 'and not the other one';
    });
}


# ----- attacks

sub evil_page {
    my ($browser, $host) = @_;

    my $name = fresh_name();
    my %form = (username => $name, email => "$name\@example.com",
                password => $Password, confirm_password => $Password);
    my $inputs = join '', map { qq{<input name="$_" value="$form{$_}">} }
                          sort keys %form;
    my $action = 'http://127.0.0.1:' . $Nginx->port . '/register';

    make_path(test_dir() . '/evil');
    spew(test_dir() . '/evil/evil.html', <<"EOC");
<!DOCTYPE html><title>evil</title><link rel="icon" href="data:,">
<form method="post" action="$action">$inputs<button>Win a prize</button></form>
EOC

    $browser->go($Evil_port, '/evil.html', $host);
    is $browser->title, 'evil', "a page of another origin, $host:$Evil_port";
    return "$name\@example.com";
}

# whatever is in the database; it grows with every sign-up that is answered

sub rows {
    return join ' ', map { scalar sql("SELECT COUNT(*) FROM $_") }
                     qw(users otps);
}

for my $host ('localhost', '127.0.0.1') {
    in_browser("a form of another origin: $host", {}, sub {
        my ($browser) = @_;

        my $before = rows();
        my $address = evil_page($browser, $host);
        $browser->press('Win a prize');

        is $browser->path, '/register', 'it came to our site';
        is $browser->status, 403, 'and is refused';
        like $browser->text, qr/The form was sent by another site\./,
             'the page says why';
        is $browser->property($browser->field($_), 'value'), '',
           "$_: nothing of it is taken over"
            for @Labels;
        is_deeply $browser->get('/cookie'), [], 'no cookie';
        is rows(), $before, 'nothing was written';
        is sql("SELECT COUNT(*) FROM messages WHERE address = '$address'"), 0,
           'nothing will be sent';
        no_problems($browser);
        shot($browser, 'desktop-cross-site') if $host eq 'localhost';

        # the page is ours, so what is typed there is the person's own
        my $name = fresh_name();
        fill_in($browser, $name, "$name\@example.com", $Password, $Password);
        $browser->press('Create account');
        is $browser->path, '/verify-otp', 'a sign-up from there goes on';
        ok wait_mail("$name\@example.com", 10), 'and is sent';
        is mail_count($address), 0, 'the other one never was';
        is is_active($address), undef, 'nor written';
    });
}

for my $javascript (1, 0) {
    my $kind = $javascript ? '' : ' without JavaScript';

    in_browser("markup as text$kind", { javascript => $javascript }, sub {
        my ($browser) = @_;

        open_form($browser);
        fill_in($browser, $Evil, $Evil, $Password, $Password);
        $browser->press('Create account');
        is $browser->alert, undef, 'no script runs';
        is $browser->property($browser->field($_), 'value'), $Evil,
           "$_: shown as it was typed"
            for qw(Username), 'Email address';
        is_deeply [map { $browser->attribute($_, 'src') }
                   $browser->find_all('script')], ['/pages/otpreg.js'],
                  'no script but ours is in the page';
        is scalar $browser->find_all('main > form :not(.trap) > input'), 4, 'and no field but ours';
        no_problems($browser);

        # an address that is valid: the next page shows it
        my $name = fresh_name();
        fill_in($browser, $name, "&lt;$name\@example.com" =~ s/;//r,
                $Password, $Password);
        $browser->press('Create account');
        like $browser->text, qr/to: &lt$name\@example\.com\n/, 'an ampersand';
    });
}

subtest 'the browser does complain' => sub {
    my $browser = OtpReg::Browser->start;
    $browser->go($Nginx->port, '/bad-page');
    my @problems = $browser->problems;
    like "@problems", qr/Content Security Policy/, 'of a violated policy';
    $browser->go($Nginx->port, '/pages/none.html');
    is $browser->status, 404, 'and the status of a page is seen';
    $browser->quit;
};

is_deeply [$_->bad_log_lines], [], 'nothing bad in the log' for $Nginx, $Soon;
ok $_->quit, 'nginx left by itself' for $Nginx, $Soon;

done_testing();
