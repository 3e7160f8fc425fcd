/*
 * web PORT LOCK_FILE: a small HTTP service for the example release. Answers GET /health with 200 when
 * it is healthy, with 503 before, and POST once it has the whole body, which can be slow. Writes a
 * line to stderr for each answer. The environment selects its faults:
 *
 *   START_SECONDS  seconds from the first request, which gets a 503, until it is healthy (default 0)
 *   IGNORE_TERM    1: ignores SIGTERM
 *   CRASH          1: exits with status 1 right after its start
 *   LOG_FILE       opened again on SIGHUP, as stdout and stderr
 *
 * Locks LOCK_FILE, as a database locks its data, and exits if another process holds the lock. On
 * SIGUSR1 it accepts no more connections, finishes its requests and exits. On SIGQUIT it writes its
 * stack to stderr and continues.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t draining;
static atomic_int requests; /* those that have no answer yet */
static const char *log_file;

static void drain(int signal)
{
    (void)signal;
    draining = 1;
}

static void reopen_log(int signal)
{
    const int log = log_file == NULL ? -1 : open(log_file, O_WRONLY | O_APPEND | O_CREAT, 0640);
    (void)signal;
    if (log < 0)
        return;
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close(log);
}

static void dump_stack(int signal)
{
    static const char head[] = "web: stack dump\n";
    void *frames[32];
    (void)signal;
    if (write(STDERR_FILENO, head, sizeof head - 1) < 0)
        return;
    backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
}

static int setting(const char *name)
{
    const char *value = getenv(name);
    return value == NULL ? 0 : atoi(value);
}

/* Returns seconds on the monotonic clock. */
static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

struct request {
    int client;
    int healthy;
};

/* Answers one request, in a thread of its own. */
static void *answer(void *argument)
{
    static const char yes[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
    static const char no[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                             "Connection: close\r\n\r\n";
    const struct request request = *(struct request *)argument;
    struct timeval timeout = { .tv_sec = 60 };
    char text[4096];
    size_t length = 0;
    const char *body = NULL;
    long missing = 0; /* bytes of the body */
    free(argument);
    setsockopt(request.client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    while (body == NULL || missing > 0) {
        /* What was read of the body is overwritten. */
        const size_t kept = body == NULL ? length : (size_t)(body - text);
        const ssize_t got = kept == sizeof text - 1
            ? -1 : recv(request.client, text + kept, sizeof text - 1 - kept, 0);
        if (got <= 0)
            break;
        if (body != NULL) {
            missing -= got;
            continue;
        }
        length += (size_t)got;
        text[length] = '\0';
        if ((body = strstr(text, "\r\n\r\n")) == NULL)
            continue;
        body += strlen("\r\n\r\n");
        const char *header = strcasestr(text, "\r\nContent-Length:");
        if (header != NULL && header < body)
            missing = atol(strchr(header, ':') + 1) - (text + length - body);
    }
    if (body != NULL && missing <= 0) {
        const char *status = request.healthy ? yes : no;
        send(request.client, status, strlen(status), MSG_NOSIGNAL);
        fprintf(stderr, "web: %.*s\n", (int)strcspn(text, "\r\n"), text);
    }
    close(request.client);
    atomic_fetch_sub(&requests, 1);
    return NULL;
}

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };
    sigaction(signal, &action, NULL);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    const int on = 1;
    void *warm[1];

    if (argc != 3) {
        fprintf(stderr, "usage: web PORT LOCK_FILE\n");
        return 2;
    }
    fprintf(stderr, "web: process %d starts\n", (int)getpid());

    const int lock = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        fail(argv[2]);
    if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        fprintf(stderr, "web: ANOTHER WEB HOLDS %s\n", argv[2]);
        return 1;
    }
    if (setting("CRASH")) {
        fprintf(stderr, "web: crashes\n");
        return 1;
    }

    backtrace(warm, 1); /* the first call loads a library, which a signal handler must not do */
    log_file = getenv("LOG_FILE");
    handle(SIGQUIT, dump_stack);
    handle(SIGHUP, reopen_log);
    handle(SIGUSR1, drain);
    if (setting("IGNORE_TERM"))
        signal(SIGTERM, SIG_IGN);

    /* Signals arrive while ppoll() waits, and nowhere else: none is missed before it. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);

    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (server < 0 || setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 16) < 0)
        fail("web: cannot listen");

    /* Counted from the first request, so that a client sees both answers however late it starts. */
    time_t first = -1;
    while (!draining) {
        struct pollfd waiting = { .fd = server, .events = POLLIN };
        if (ppoll(&waiting, 1, NULL, &before) <= 0)
            continue;
        const int client = accept(server, NULL, NULL);
        const time_t asked = now();
        struct request *request = client < 0 ? NULL : malloc(sizeof *request);
        pthread_t thread;
        if (request == NULL)
            continue;
        if (first < 0)
            first = asked;
        *request = (struct request){ client, asked >= first + setting("START_SECONDS") };
        atomic_fetch_add(&requests, 1);
        if (pthread_create(&thread, NULL, answer, request) != 0)
            answer(request);
        else
            pthread_detach(thread);
    }
    close(server);
    fprintf(stderr, "web: drains %d requests\n", atomic_load(&requests));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    while (atomic_load(&requests) > 0)
        usleep(10000);
    fprintf(stderr, "web: exits\n");
    return 0;
}
