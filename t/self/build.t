# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# What makes the Makefile configure nginx again, and what does not: a stand-in
# for nginx's configure notes what it is asked for.  All of it in a checkout
# whose path has a space.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -nodb, -nosmtp, -nomodule;
use OtpReg::Env qw(root_dir);
use File::Path qw(make_path);
use Test::More;

delete @ENV{grep { /^(?:MAKE|NGX_|OTPREG_|CC$|CC_OPT$|LD_OPT$)/ } keys %ENV};

my $root = root_dir();
my $copy = test_dir() . '/a checkout';
my $module = 'build/ngx_http_otpreg_module.so';

# "modules" puts together what it was configured with and the sources

my $configure = <<'END';
#!/bin/sh
mkdir busy || { echo "two at once" >> "$OTPREG_TEST_LOG"; exit 1; }
for arg do echo "$arg"; done > args
sleep ${OTPREG_TEST_SLEEP:-0}
mkdir objs
cp args "$OTPREG_TEST_LOG.args"
echo configured >> "$OTPREG_TEST_LOG"
cat > objs/Makefile << EOM
modules:
	cat args otpreg/src/base/*.c > objs/ngx_http_otpreg_module.so
binary:
	cat args otpreg/src/base/*.c > objs/nginx
EOM
rmdir busy
END

make_path(map { "$copy/$_" } qw(src/base t/unit nginx/src/core other/src/core));
spew("$copy/config", '');
spew("$copy/src/base/a.c", "first\n");
spew("$copy/$_", slurp("$root/$_"))
    for 'Makefile', 't/unit/unit.mk', 't/unit/smtp.mk';
for my $tree (qw(nginx other)) {
    spew("$copy/$tree/src/core/nginx.$_", "1\n") for qw(c h);
    spew("$copy/$tree/configure", $configure, 0755);
}

my $log = $ENV{OTPREG_TEST_LOG} = test_dir() . '/configured';

sub make_pid {
    return OtpReg::Env::start_process({ log => test_dir() . '/make.log' },
                                      'make', '-C', $copy, @_);
}

# how often it configured, or what make said

sub make {
    unlink $log, "$log.args";
    waitpid make_pid(@_), 0;
    return $? ? 'failed: ' . slurp(test_dir() . '/make.log')
              : scalar(() = (slurp($log) // '') =~ /^configured$/mg);
}

my @nginx = ("NGX_SRC=$copy/nginx");
my @other = ("NGX_SRC=$copy/other");

is make('build', @nginx), 1, 'a first build configures';
like slurp("$copy/$module"), qr/^--add-dynamic-module=otpreg\n(?:.*\n)*first\n/m,
     'and builds, in a path with a space';
is make('build', @nginx), 0, 'a second one does not';

spew("$copy/src/base/a.c", "edited\n");
is make('build', @nginx), 0, 'nor one after an edit';
like slurp("$copy/$module"), qr/^edited$/m, 'but it builds';

spew("$copy/src/base/b.c", "new\n");
is make('build', @nginx), 1, 'a new file does';
like slurp("$copy/$module"), qr/^new$/m, 'and is in it';

for my $case (["NGX_FLAGS='--with-a b' --with-c", qr/^--with-a b\n--with-c\n/m],
              ['CC_OPT=-DOTHER="a b"', qr/^--with-cc-opt=.* -DOTHER="a b"$/m],
              ['LD_OPT=-Wl,-O1', qr/^--with-ld-opt=.* -Wl,-O1$/m],
              ['WARNINGS=-Weverything', qr/^--with-cc-opt=.* -Weverything/m],
              ['CC=other/gcc', qr{^--with-cc=other/gcc$}m])
{
    my ($flag, $arg) = @$case;
    is make('build', @nginx, $flag), 1, "$flag does";
    like slurp("$log.args"), $arg, 'and is said to configure';
    is make('build', @nginx, $flag), 0, 'once';
    is make('build', @nginx), 1, 'without it, again';
    unlike slurp("$log.args"), $arg, 'and it is gone';
}

{
    local $ENV{OTPREG_LIBS} = '-lother';
    is make('build', @nginx), 1, 'the libraries of the environment do';
}

is make('build', @nginx), 1, 'and the lack of them';
is make('build', @other), 1, 'another tree does';
is make('build', @nginx), 0, 'each has a copy of its own';

spew("$copy/nginx/src/core/nginx.h", "1.2\n");
is make('build', @nginx), 1, 'a changed tree of nginx does';
is make('nginx', @nginx), 1, 'nginx with the module in it is another use';
like slurp("$log.args"), qr/^--add-module=otpreg$/m, 'with its own flag';
is make('module', 'CC=clang', @nginx), 1, 'and so is another compiler';


# two at once: one configures, the other waits for it

subtest 'two builds at once' => sub {
    local $ENV{OTPREG_TEST_SLEEP} = 1;
    make('clean');
    ok !-e "$copy/build", 'clean';
    unlink $log;
    my @pids = map { make_pid($_, @nginx) } qw(build module build);
    is_deeply [map { waitpid $_, 0; $? } @pids], [0, 0, 0], 'all are done';
    is slurp($log), "configured\n", 'it is configured once';

    is make('-j4', 'clean'), 0, 'clean again';
    is make('-j4', 'build', 'module', 'nginx', @nginx), 2,
       'by one make: once for each use';
};

unlink "$copy/nginx/src/core/nginx.c";
like make('nginx', @nginx), qr/nginx has no source files of nginx/,
     'a tree without source files is named';
like make('build', 'NGX_SRC=nowhere'), qr/nowhere is no source tree of nginx/,
     'a tree that is none is named';

done_testing();
