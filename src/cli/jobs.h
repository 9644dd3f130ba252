/* Many commands of theriac as processes of their own, several side by side within threads and memory. What one of them
 * does is done when its result is there, so a study that was stopped goes on with what is left. */
#ifndef TH_CLI_JOBS_H
#define TH_CLI_JOBS_H

#include "cli/verb.h"

typedef struct {
    const char *const *argv; /* without the program's name; NULL at the end */
    const char *result;      /* a file that is there once it is done */
    const char *begun;       /* a file that is there once it has begun, to go on by --resume; NULL: it begins anew */
} th_command;

/* Commands one after the other. They are done when the last one's result is there. */
typedef struct {
    const char *name; /* for people */
    const char *log;  /* the file that takes what they print */
    const th_command *commands;
    int64_t command_count;
    int threads;    /* that they compute with */
    int64_t bytes;  /* that they take at most */
    double seconds; /* about how long: what is left is told from them */
} th_job;

typedef struct {
    const char *what; /* "cells", for progress */
    int64_t most;     /* side by side; 0: as threads and memory allow */
    int threads;      /* of all together */
    int64_t memory;   /* bytes of all together; 0: no limit */
    /* Called when a job's commands are done, or were before: what removes what is no longer needed. May be NULL. */
    th_status (*finished)(void *user, int64_t job);
    void *user;
} th_jobs_params;

typedef struct {
    int64_t job;
    char text[TH_MESSAGE_MAX]; /* its name, and how it ended, with the end of its log */
} th_job_failure;

typedef struct {
    int64_t done, found; /* found: of those, which were there before */
    th_job_failure *failures;
    int64_t failure_count, failure_capacity;
    double seconds;
} th_jobs_result;

/* Runs all of them. One that fails does not stop the others, and is in the result. A job that alone wants more than the
 * memory is TH_E_USAGE before anything runs. Where it is asked to stop, the processes are asked to, and
 * TH_E_INTERRUPTED is returned when they have; they do so too where this process is killed. r is to be freed also after
 * an error. */
th_status th_cli_jobs_run(th_cli *cli, const th_job *jobs, int64_t count, const th_jobs_params *p, th_jobs_result *r);
void th_cli_jobs_free(th_jobs_result *r);

/* Runs one command to its end and reads the object that it prints, as with --json; what goes wrong is said in its own
 * words. dir: where its output may lie meanwhile. */
th_status th_cli_command_json(th_cli *cli, const char *const *argv, const char *dir, json_t **out);

/* Takes a folder for this process and those that it starts, by DIR/lock: *fd, to be closed. Waits a little for
 * processes of a killed one to end; one that goes on is TH_E_USAGE. */
th_status th_cli_lock(th_cli *cli, const char *dir, int *fd);

#endif
