/* Loaded before a server's libraries: its calls to the disk fail while a file of the call's name is in the directory that DISK_FAULTS
 * names. The file has the error's number; without one it is EIO. A sync of a log waits while there is a file `stall<shard>`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *call) {
    const char *dir = getenv("DISK_FAULTS");
    char path[4096], text[16] = "";
    if (!dir) return 0;
    snprintf(path, sizeof path, "%s/%s", dir, call);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    errno = len > 0 ? atoi(text) : EIO;
    return 1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
    return fails("write") ? -1 : real(fd, bytes, len, at);
}

static void wait_while_stalled(int fd) {
    const char *dir = getenv("DISK_FAULTS");
    char link[64], target[4096], path[4096];
    if (!dir) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, target, sizeof target - 1);
    if (len < 0) return;
    target[len] = 0;
    const char *name = strrchr(target, '/');
    snprintf(path, sizeof path, "%s/stall%c", dir, name ? name[1] : '-');
    while (access(path, F_OK) == 0) usleep(1000);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    wait_while_stalled(fd);
    return fails("sync") ? -1 : real(fd);
}
