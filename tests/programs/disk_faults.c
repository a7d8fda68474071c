/* Loaded before a server's libraries: its calls to the disk fail while a file of the call's name is in the directory that DISK_FAULTS
 * names. The file has the error's number; without one it is EIO. A sync of a log waits while there is a file `stall<shard>`, and a write
 * to a file of a snapshot set while there is `stallset`. */
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

/* Whether a descriptor's path is told, and what it is. */
static int path_of(int fd, char *target, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, target, size - 1);
    if (len < 0) return 0;
    target[len] = 0;
    return 1;
}

static void wait_while(const char *fault, char shard) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%c", getenv("DISK_FAULTS"), fault, shard);
    while (access(path, F_OK) == 0) usleep(1000);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    char target[4096];
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
    if (getenv("DISK_FAULTS") && path_of(fd, target, sizeof target) && strstr(target, ".rdb")) wait_while("stallset", 0);
    return fails("write") ? -1 : real(fd, bytes, len, at);
}

static void wait_while_stalled(int fd) {
    char target[4096];
    if (!getenv("DISK_FAULTS") || !path_of(fd, target, sizeof target)) return;
    const char *name = strrchr(target, '/');
    wait_while("stall", name ? name[1] : '-');
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    wait_while_stalled(fd);
    return fails("sync") ? -1 : real(fd);
}
