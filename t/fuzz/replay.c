
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


/*
 * Runs a fuzz target over files, or all files of folders, that are given as
 * arguments: any compiler's replay of a corpus, without libFuzzer.
 */

#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"


/* not every target has one */
#pragma weak LLVMFuzzerInitialize


static unsigned  replay_inputs;


static void
replay_file(const char *path, size_t size)
{
    FILE     *file;
    uint8_t  *data;

    file = fopen(path, "rb");
    data = malloc(size != 0 ? size : 1);

    if (file == NULL || data == NULL || fread(data, 1, size, file) != size) {
        perror(path);
        exit(1);
    }

    fclose(file);

    (void) LLVMFuzzerTestOneInput(data, size);
    replay_inputs++;

    free(data);
}


static void
replay_path(const char *path)
{
    DIR            *dir;
    char            name[4096];
    struct stat     info;
    struct dirent  *entry;

    if (stat(path, &info) != 0) {
        perror(path);
        exit(1);
    }

    if (!S_ISDIR(info.st_mode)) {
        replay_file(path, (size_t) info.st_size);
        return;
    }

    dir = opendir(path);

    if (dir == NULL) {
        perror(path);
        exit(1);
    }

    while ((entry = readdir(dir)) != NULL) {

        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
            replay_path(name);
        }
    }

    closedir(dir);
}


int
main(int argc, char **argv)
{
    int  i;

    if (LLVMFuzzerInitialize != NULL) {
        (void) LLVMFuzzerInitialize(&argc, &argv);
    }

    for (i = 1; i < argc; i++) {
        replay_path(argv[i]);
    }

    printf("%s: %u inputs\n", argv[0], replay_inputs);

    return replay_inputs == 0;
}
