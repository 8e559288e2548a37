# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# What t/rooms.pl sees: a call and an include line that go up between rooms.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg::Env qw(root_dir spew test_dir);
use File::Path qw(make_path);
use Test::More;

my $root = root_dir();
my $dir = test_dir() . '/rooms';

make_path(map { "$dir/$_" } qw(src/flow src/base src/core objs/flow objs/base
                               objs/core));

sub plant {
    my ($file, $text) = @_;
    my $name = "$dir/src/$file";

    spew($name, $text);
    return if $file !~ /\.c$/;

    my $object = "$dir/objs/$file" =~ s/c$/o/r;
    is(system('cc', '-I', "$dir/src/flow", '-I', "$dir/src/base", '-c', '-o',
              $object, $name), 0, "$file compiles");
}

sub found {
    my $out = `"$root/t/rooms.pl" "$dir/src" "$dir/objs" 2>&1`;
    return $out =~ s/\Q$dir\E\///gr;
}

plant('base/below.h', "int below(void);\n");
plant('base/below.c', "#include \"below.h\"\nint below(void) { return 1; }\n");
plant('flow/above.h', "int above(void);\n");
plant('flow/above.c', "#include \"above.h\"\n#include \"below.h\"\n"
                      . "int above(void) { return below(); }\n");
is(found(), '', 'what goes down is right');

plant('base/below.c', "int above(void);\nint below(void) { return above(); }\n");
is(found(), "base/below needs above of flow\n", 'a call that goes up');

plant('base/below.c', "#include \"above.h\"\nint below(void) { return 1; }\n");
is(found(), "src/base/below.c:1 includes above.h of flow\n",
   'an include line that goes up');

plant('base/below.c', "extern int ngx_http_otpreg_module;\n"
                      . "int below(void) { return ngx_http_otpreg_module; }\n");
plant('flow/above.c', "int ngx_http_otpreg_module;\n");
is(found(), '', 'the module itself is known everywhere');

make_path("$dir/src/attic");
like(found(), qr{^src/attic is no room$}m, 'a folder that is no room');
rmdir "$dir/src/attic";

spew("$dir/src/heap.c", '');
like(found(), qr{^src/heap\.c is in no room$}m, 'a file that is in no room');
unlink "$dir/src/heap.c";

unlink glob "$dir/objs/*/*.o";
like(found(), qr{has no object files}, 'nothing was looked at');

done_testing();
