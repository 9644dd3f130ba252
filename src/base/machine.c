/* What the machine is, read from /proc, /sys and system calls of Linux. */
#include "base/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"

/* The value of "key   : value" on this line, or NULL. */
static const char *value_of(const char *line, const char *key) {
    size_t n = strlen(key);
    if (strncmp(line, key, n)) return NULL;
    line += n + strspn(line + n, " \t");
    return *line == ':' ? line + 1 + strspn(line + 1, " \t") : NULL;
}

static bool has_word(const char *line, const char *word) {
    size_t n = strlen(word), length = strcspn(line, "\n");
    for (const char *p = line; p < line + length; p += strcspn(p, " \n") + 1)
        if (!strncmp(p, word, n) && strchr(" \n", p[n])) return true;
    return false;
}

static void read_line(th_machine *m, const char *line, char core[64], th_map *cores) {
    const char *v;
    if ((v = value_of(line, "model name"))) snprintf(m->cpu, sizeof m->cpu, "%.*s", (int)strcspn(v, "\n"), v);
    if ((v = value_of(line, "physical id"))) snprintf(core, 32, "%ld", strtol(v, NULL, 10));
    if ((v = value_of(line, "core id"))) {
        size_t n = strlen(core);
        snprintf(core + n, 64 - n, "/%ld", strtol(v, NULL, 10));
        th_map_set(cores, core, strlen(core), 1);
    }
    if ((v = value_of(line, "flags"))) {
#define LOOK(name) m->name = has_word(v, #name);
        TH_FEATURES(LOOK)
#undef LOOK
    }
}

void th_machine_read_cpu(th_machine *m, const char *cpuinfo) {
    char core[64] = "";
    th_map *cores = th_map_new(); /* "package/core" */
    for (const char *line = cpuinfo; cores && *line;) {
        read_line(m, line, core, cores);
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    m->cores = (int)th_map_count(cores);
    th_map_free(cores);
}

/* A file of /proc or /sys, whose size is not known before it is read. */
static bool read_text(const char *path, char *out, size_t room) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    size_t n = fread(out, 1, room - 1, f);
    fclose(f);
    out[n] = '\0';
    return n > 0;
}

static int64_t kilobytes_after(const char *text, const char *key) {
    const char *p = strstr(text, key);
    return p ? strtoll(p + strlen(key), NULL, 10) * 1024 : 0;
}

/* Control groups, version 2: "max" or bytes. */
static int64_t group_bytes(const char *path) {
    char text[64];
    return read_text(path, text, sizeof text) && text[0] != 'm' ? strtoll(text, NULL, 10) : 0;
}

static void read_memory(th_machine *m) {
    char text[4096];
    if (!read_text("/proc/meminfo", text, sizeof text)) return;
    m->memory = kilobytes_after(text, "MemTotal:");
    m->available = kilobytes_after(text, "MemAvailable:");
    int64_t limit = group_bytes("/sys/fs/cgroup/memory.max"), used = group_bytes("/sys/fs/cgroup/memory.current");
    if (limit <= 0 || limit >= m->memory) return;
    m->limited = true;
    m->memory = limit;
    if (limit - used < m->available) m->available = limit > used ? limit - used : 0;
}

void th_machine_look(th_machine *m) {
    static char cpuinfo[1 << 20]; /* a few kilobytes a processor; a cut end loses repetitions */
    *m = (th_machine){.cpu = "unknown", .disk = -1};
    if (read_text("/proc/cpuinfo", cpuinfo, sizeof cpuinfo)) th_machine_read_cpu(m, cpuinfo);
    cpu_set_t set;
    m->processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (m->cores == 0) m->cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    read_memory(m);
    struct statvfs fs;
    if (statvfs(".", &fs) == 0) m->disk = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

double th_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
