/*
 * web PORT LOCK_FILE: a small HTTP service for the example release. Answers GET /health with 200 when
 * it is healthy, with 503 before. The environment selects its faults:
 *
 *   START_SECONDS  seconds from the first request, which gets a 503, until it is healthy (default 0)
 *   IGNORE_TERM    1: ignores SIGTERM
 *   CRASH          1: exits with status 1 right after its start
 *
 * Locks LOCK_FILE, as a database locks its data, and exits if another process holds the lock. On
 * SIGQUIT it writes its stack to stderr and continues.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

static void answer(int client, int healthy)
{
    static const char yes[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
    static const char no[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                             "Connection: close\r\n\r\n";
    struct timeval timeout = { .tv_sec = 1 };
    char request[4096];
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (recv(client, request, sizeof request, 0) > 0)
        send(client, healthy ? yes : no, strlen(healthy ? yes : no), MSG_NOSIGNAL);
    close(client);
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
    signal(SIGQUIT, dump_stack);
    if (setting("IGNORE_TERM"))
        signal(SIGTERM, SIG_IGN);

    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (server < 0 || setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 16) < 0)
        fail("web: cannot listen");

    /* Counted from the first request, so that a client sees both answers however late it starts. */
    time_t first = -1;
    for (;;) {
        const int client = accept(server, NULL, NULL);
        const time_t asked = now();
        if (client < 0)
            continue;
        if (first < 0)
            first = asked;
        answer(client, asked >= first + setting("START_SECONDS"));
    }
}
