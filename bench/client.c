/* A caller that measures what wrk does not: first bytes, gaps inside streams, a fixed rate, a new key every time.
 *
 *   client PORT REQUEST-FILE [connections=1] [total=N] [rate=R] [seconds=S] [keys=FILE] [ticks=1]
 *
 * The file holds one whole request, head and body. `keys` has one key a line; each request takes the next one in the
 * place of the run of '@' in the file, which must be as long. Without a rate the next request leaves when the answer
 * has ended; with one, requests are due at fixed times, whether or not answers came, and time counts from when due.
 * Prints one JSON object at the end; with ticks also "answered so far" on a line of its own every 100 ms.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, READ_MAX = 262144, EVENTS = 256, SAMPLES_MAX = 4000000 };

struct conn {
    int fd, busy, status, in_body, chunked;
    int64_t due_ns, seen_ns, gap_ns;
    size_t sent, body_left, head_length;
    char head[HEAD_MAX + 1], tail[8];
    char *request; /* own copy, because of the key in it */
    struct conn *next_idle;
};

struct samples {
    uint32_t *us;
    size_t count;
};

static struct conn *conns, *idle;
static struct samples first_byte, whole, gaps;
static char *request, *keys, *key_now;
static size_t request_length, key_at, key_length;
static long connections = 1, total = -1, port, started, answered, failed, reads;
static double rate, seconds = 1e9;
static int epoll, ticks;
static char scratch[READ_MAX];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void note(struct samples *samples, int64_t ns) {
    if (samples->count < SAMPLES_MAX) samples->us[samples->count++] = (uint32_t)(ns / 1000);
}

/* -- a connection ------------------------------------------------------------------------------------------------ */

static void connect_it(struct conn *conn) {
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    conn->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(conn->fd, (struct sockaddr *)&to, sizeof to) < 0) die("client: connect");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0) die("epoll_ctl");
}

static void watch(struct conn *conn, uint32_t what) {
    struct epoll_event event = {.events = what, .data.ptr = conn};
    epoll_ctl(epoll, EPOLL_CTL_MOD, conn->fd, &event);
}

static void put_idle(struct conn *conn) {
    conn->busy = 0;
    conn->next_idle = idle;
    idle = conn;
}

static void fail(struct conn *conn) {
    close(conn->fd);
    connect_it(conn);
    if (conn->busy) {
        failed++;
        put_idle(conn);
    }
}

static void send_more(struct conn *conn) {
    ssize_t n = send(conn->fd, conn->request + conn->sent, request_length - conn->sent, MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) {
        fail(conn);
        return;
    }
    if (n > 0) conn->sent += (size_t)n;
    watch(conn, conn->sent < request_length ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void ask(int64_t due_ns) {
    struct conn *conn = idle;
    idle = conn->next_idle;
    if (keys != NULL) {
        if (*key_now == 0) key_now = keys;
        memcpy(conn->request + key_at, key_now, key_length);
        key_now += key_length + 1;
    }
    conn->busy = 1;
    conn->due_ns = due_ns;
    conn->seen_ns = conn->gap_ns = 0;
    conn->sent = conn->head_length = 0;
    conn->in_body = 0;
    memset(conn->tail, 0, sizeof conn->tail);
    started++;
    send_more(conn);
}

/* -- answers ----------------------------------------------------------------------------------------------------- */

static void ended(struct conn *conn, int64_t now) {
    note(&whole, now - conn->due_ns);
    if (conn->chunked) note(&gaps, conn->gap_ns);
    if (conn->status == 200)
        answered++;
    else
        failed++;
    put_idle(conn);
}

static int read_head(struct conn *conn, const char **data, size_t *length) {
    size_t before = conn->head_length, room = HEAD_MAX - before, take = *length < room ? *length : room;
    memcpy(conn->head + before, *data, take);
    conn->head_length += take;
    conn->head[conn->head_length] = 0;
    char *end = strstr(conn->head, "\r\n\r\n");
    if (end == NULL) {
        *length = 0;
        return take < room;
    }
    size_t used = (size_t)(end + 4 - conn->head) - before;
    *data += used;
    *length -= used;
    end[2] = 0;
    char *field = strcasestr(conn->head, "\r\ncontent-length:");
    conn->status = atoi(conn->head + 9);
    conn->chunked = field == NULL;
    conn->body_left = field ? strtoull(field + 17, NULL, 10) : 0;
    conn->in_body = 1;
    return 1;
}

/* This says whether the body has ended: by its length, or by the last chunk standing at the end of what came. */
static int read_body(struct conn *conn, const char *data, size_t length) {
    if (!conn->chunked) {
        conn->body_left -= length < conn->body_left ? length : conn->body_left;
        return conn->body_left == 0;
    }
    for (size_t i = length > 7 ? length - 7 : 0; i < length; i++) {
        memmove(conn->tail, conn->tail + 1, 6);
        conn->tail[6] = data[i];
    }
    return memcmp(conn->tail, "\r\n0\r\n\r\n", 7) == 0;
}

static void readable(struct conn *conn) {
    ssize_t n = recv(conn->fd, scratch, sizeof scratch, MSG_DONTWAIT);
    int64_t now = now_ns();
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        fail(conn);
        return;
    }
    const char *data = scratch;
    size_t length = (size_t)n;
    reads++;
    if (conn->seen_ns == 0)
        note(&first_byte, now - conn->due_ns);
    else if (now - conn->seen_ns > conn->gap_ns)
        conn->gap_ns = now - conn->seen_ns;
    conn->seen_ns = now;
    if (!conn->in_body && !read_head(conn, &data, &length))
        fail(conn);
    else if (conn->in_body && read_body(conn, data, length))
        ended(conn, now);
}

/* -- what it prints ---------------------------------------------------------------------------------------------- */

static int smaller(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, struct samples *samples) {
    qsort(samples->us, samples->count, sizeof *samples->us, smaller);
    size_t n = samples->count;
    if (n == 0) {
        printf(",\"%s_us\":null", name);
        return;
    }
    printf(",\"%s_us\":{\"p50\":%u,\"p99\":%u,\"p999\":%u,\"max\":%u}", name, samples->us[n / 2],
           samples->us[n * 99 / 100], samples->us[n * 999 / 1000], samples->us[n - 1]);
}

static void print_all(double took_s) {
    long unfinished = started - answered - failed;
    printf("{\"answered\":%ld,\"failed\":%ld,\"unfinished\":%ld,\"reads\":%ld,\"seconds\":%.6f", answered, failed,
           unfinished, reads, took_s);
    print_samples("first_byte", &first_byte);
    print_samples("whole", &whole);
    print_samples("gap", &gaps);
    printf("}\n");
}

/* -- the beginning ----------------------------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) die(path);
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    char *data = calloc(1, *length + 1);
    if (fread(data, 1, *length, file) != *length) die(path);
    fclose(file);
    return data;
}

static void read_options(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "client PORT REQUEST-FILE [name=value ...]\n");
        exit(2);
    }
    size_t ignored;
    port = atol(argv[1]);
    request = read_file(argv[2], &request_length);
    for (int i = 3; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value == NULL) continue;
        *value++ = 0;
        if (!strcmp(argv[i], "connections")) connections = atol(value);
        if (!strcmp(argv[i], "total")) total = atol(value);
        if (!strcmp(argv[i], "rate")) rate = atof(value);
        if (!strcmp(argv[i], "seconds")) seconds = atof(value);
        if (!strcmp(argv[i], "ticks")) ticks = atoi(value);
        if (!strcmp(argv[i], "keys")) keys = key_now = read_file(value, &ignored);
    }
    if (keys == NULL) return;
    char *at = strstr(request, "@@@@");
    key_length = (size_t)(strchr(keys, '\n') - keys);
    if (at == NULL || strspn(at, "@") != key_length) {
        fprintf(stderr, "client: no room for a key of %zu characters\n", key_length);
        exit(2);
    }
    key_at = (size_t)(at - request);
}

static void open_all(void) {
    conns = calloc((size_t)connections, sizeof *conns);
    struct samples *all[] = {&first_byte, &whole, &gaps};
    for (int i = 0; i < 3; i++) all[i]->us = malloc(SAMPLES_MAX * sizeof(uint32_t));
    for (long i = 0; i < connections; i++) {
        conns[i].request = keys ? memcpy(malloc(request_length), request, request_length) : request;
        connect_it(&conns[i]);
        put_idle(&conns[i]);
    }
}

/* Requests leave until the time or the number is up; streams begin spread over their first 100 ms. */
static void ask_what_is_due(int64_t begun, int64_t now) {
    double elapsed = (double)(now - begun) / 1e9;
    while (idle != NULL && elapsed < seconds && (total < 0 || started < total)) {
        if (rate > 0) {
            double due = (double)started / rate;
            if (due > elapsed) return;
            ask(begun + (int64_t)(due * 1e9));
        } else {
            if (started < connections && (double)started / (double)connections > elapsed * 10) return;
            ask(now);
        }
    }
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    read_options(argc, argv);
    epoll = epoll_create1(0);
    open_all();
    struct epoll_event events[EVENTS];
    int64_t begun = now_ns(), ticked = begun;
    for (;;) {
        int64_t now = now_ns();
        double elapsed = (double)(now - begun) / 1e9;
        ask_what_is_due(begun, now);
        if (ticks && now - ticked >= 100000000) {
            printf("%ld\n", answered);
            fflush(stdout);
            ticked += 100000000;
        }
        int over = elapsed >= seconds || (total >= 0 && started >= total);
        if (over && (started == answered + failed || elapsed > seconds + 10)) break;
        int n = epoll_wait(epoll, events, EVENTS, !over && (rate > 0 || started < connections) ? 1 : 20);
        for (int i = 0; i < n; i++) {
            struct conn *conn = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_more(conn);
            if (events[i].events & ~(uint32_t)EPOLLOUT) readable(conn);
        }
    }
    print_all((double)(now_ns() - begun) / 1e9);
    return 0;
}
