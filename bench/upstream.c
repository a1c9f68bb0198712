/* A model vendor that costs next to nothing: one thread, epoll, canned answers.
 *
 *   upstream [PORT]        (0 or none: a free one; the port is the first line on stdout)
 *
 * POST anything           one chat.completion of about 1 KB with usage
 *   "stream":true         100 pieces of server-sent events, each its own write(); the last brings usage and [DONE]
 *   model bench-pace-N    the pieces leave N milliseconds apart
 *   without a pace        one piece a connection a turn of the loop, so that pieces of one stream do not melt together
 * GET anything            200 "ok"
 *
 * A request's body is read by its content-length and thrown away; only its first kilobyte is looked at.
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

enum { PIECES = 100, HEAD_MAX = 16384, LOOK_MAX = 1024, READ_MAX = 262144, SLOTS = 1024, EVENTS = 256 };

struct piece {
    char *data;
    size_t length;
};

struct answer {
    struct piece pieces[PIECES];
    int count;
};

struct conn {
    int fd, pace_ms, next_piece;
    size_t head_length, body_left, sent;
    const struct answer *answer; /* NULL: reading */
    int is_get, queued, in_body;
    size_t look_length;
    struct conn *next; /* in the list of those that write in turn, or in a slot of the wheel */
    char head[HEAD_MAX + 1];
    char look[LOOK_MAX + 1];
};

static struct answer whole, stream, ok;
static struct conn *wheel[SLOTS], *turn_first, **turn_last = &turn_first;
static int64_t wheel_ms;
static int waiting, epoll;
static char scratch[READ_MAX];

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* -- the answers ------------------------------------------------------------------------------------------------- */

static void add_piece(struct answer *to, const char *data) {
    struct piece *piece = &to->pieces[to->count++];
    piece->data = strdup(data);
    piece->length = strlen(data);
}

static void make_whole(void) {
    char text[512] = "", body[2048], all[4096];
    for (int i = 0; i < 11; i++) strcat(text, "The rider changed horses here and the letter went on. ");
    snprintf(body, sizeof body,
             "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench-chat\","
             "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%.400s\",\"refusal\":null},"
             "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":210,\"completion_tokens\":120,"
             "\"total_tokens\":330,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
             "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
             "\"rejected_prediction_tokens\":0}},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\"}",
             text);
    snprintf(all, sizeof all, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
             strlen(body), body);
    add_piece(&whole, all);
}

static void add_event(const char *before, const char *events, const char *after) {
    char all[4096];
    snprintf(all, sizeof all, "%s%zx\r\n%s\r\n%s", before, strlen(events), events, after);
    add_piece(&stream, all);
}

static void make_stream(void) {
    static const char *head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
        "transfer-encoding: chunked\r\n\r\n";
    char event[2048];
    for (int i = 0; i < PIECES - 1; i++) {
        int last = i == PIECES - 2;
        snprintf(event, sizeof event,
                 "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                 "\"model\":\"bench-chat\",\"system_fingerprint\":\"fp_bench\",\"choices\":[{\"index\":0,\"delta\":{%s},"
                 "\"logprobs\":null,\"finish_reason\":%s}],\"usage\":null}\n\n",
                 last ? "" : "\"content\":\" horses\"", last ? "\"stop\"" : "null");
        add_event(i == 0 ? head : "", event, "");
    }
    add_event("",
              "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
              "\"model\":\"bench-chat\",\"system_fingerprint\":\"fp_bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":210,"
              "\"completion_tokens\":98,\"total_tokens\":308}}\n\ndata: [DONE]\n\n",
              "0\r\n\r\n");
}

/* -- writing ----------------------------------------------------------------------------------------------------- */

static void hang_up(struct conn *conn) {
    close(conn->fd);
    conn->fd = -1;
    if (!conn->queued) free(conn); /* else the list it hangs in frees it */
}

static void queue_turn(struct conn *conn) {
    conn->queued = 1;
    conn->next = NULL;
    *turn_last = conn;
    turn_last = &conn->next;
}

static void queue_later(struct conn *conn, int in_ms) {
    struct conn **slot = &wheel[(wheel_ms + in_ms) % SLOTS];
    conn->queued = 1;
    conn->next = *slot;
    *slot = conn;
    waiting++;
}

static void write_piece(struct conn *conn) {
    const struct piece *piece = &conn->answer->pieces[conn->next_piece];
    ssize_t n = write(conn->fd, piece->data + conn->sent, piece->length - conn->sent);
    if (n < 0 && errno != EAGAIN) {
        hang_up(conn);
        return;
    }
    int blocked = n < 0 || (conn->sent += (size_t)n) < piece->length;
    if (!blocked) {
        conn->sent = 0;
        conn->next_piece++;
    }
    if (conn->next_piece == conn->answer->count) {
        conn->answer = NULL;
        conn->next_piece = 0;
    } else if (blocked || conn->pace_ms > 0) {
        queue_later(conn, conn->pace_ms > 0 ? conn->pace_ms : 1);
    } else {
        queue_turn(conn);
    }
}

static void run_list(struct conn *conn) {
    while (conn != NULL) {
        struct conn *next = conn->next;
        conn->queued = 0;
        if (conn->fd < 0)
            free(conn);
        else
            write_piece(conn);
        conn = next;
    }
}

static void run_turn(void) {
    struct conn *first = turn_first;
    turn_first = NULL;
    turn_last = &turn_first;
    run_list(first);
}

static void run_wheel(void) {
    for (int64_t now = now_ms(); wheel_ms < now;) {
        struct conn **slot = &wheel[++wheel_ms % SLOTS], *first = *slot;
        *slot = NULL;
        for (struct conn *conn = first; conn != NULL; conn = conn->next) waiting--;
        run_list(first);
    }
}

/* -- reading ----------------------------------------------------------------------------------------------------- */

static void answer(struct conn *conn) {
    conn->look[conn->look_length] = 0;
    conn->head_length = 0;
    conn->pace_ms = 0;
    if (conn->is_get) {
        conn->answer = &ok;
    } else if (strstr(conn->look, "\"stream\":true") || strstr(conn->look, "\"stream\": true")) {
        char *pace = strstr(conn->look, "bench-pace-");
        conn->answer = &stream;
        conn->pace_ms = pace ? atoi(pace + 11) % SLOTS : 0;
    } else {
        conn->answer = &whole;
    }
    write_piece(conn);
}

/* This takes a request's head out of `data`; returns how much of it was used, or -1 where there is no sense in it. */
static ssize_t read_head(struct conn *conn, const char *data, size_t length) {
    size_t before = conn->head_length, room = HEAD_MAX - before, take = length < room ? length : room;
    memcpy(conn->head + before, data, take);
    conn->head_length += take;
    conn->head[conn->head_length] = 0;
    char *end = strstr(conn->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
    if (end == NULL) return take < length ? -1 : (ssize_t)take;
    end[2] = 0;
    char *field = strcasestr(conn->head, "\r\ncontent-length:");
    conn->is_get = strncmp(conn->head, "GET ", 4) == 0;
    if (field == NULL && !conn->is_get) return -1;
    conn->body_left = field ? strtoull(field + 17, NULL, 10) : 0;
    conn->look_length = 0;
    conn->in_body = 1;
    return (end + 4 - conn->head) - (ssize_t)before;
}

static void take(struct conn *conn, const char *data, size_t length) {
    while (length > 0 && conn->fd >= 0) {
        if (!conn->in_body) {
            ssize_t used = read_head(conn, data, length);
            if (used < 0) {
                hang_up(conn);
                return;
            }
            data += used;
            length -= (size_t)used;
        }
        if (!conn->in_body) return;
        size_t take = length < conn->body_left ? length : conn->body_left;
        size_t room = LOOK_MAX - conn->look_length, look = take < room ? take : room;
        memcpy(conn->look + conn->look_length, data, look);
        conn->look_length += look;
        conn->body_left -= take;
        data += take;
        length -= take;
        if (conn->body_left == 0) {
            conn->in_body = 0;
            answer(conn); /* may free conn when the peer is gone */
            return;       /* nobody pipelines here */
        }
    }
}

static void readable(struct conn *conn) {
    ssize_t n = read(conn->fd, scratch, sizeof scratch);
    if (n > 0)
        take(conn, scratch, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        hang_up(conn);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct conn *conn = calloc(1, sizeof *conn);
        conn->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t length = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0) die("upstream: listen");
    getsockname(fd, (struct sockaddr *)&at, &length);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    make_whole();
    make_stream();
    add_piece(&ok, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok");
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    epoll = epoll_create1(0);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
    wheel_ms = now_ms();
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, turn_first ? 0 : waiting ? 1 : 500);
        run_wheel(); /* also when nothing waits, so that its hand stays at now */
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(listener);
            else
                readable(events[i].data.ptr);
        }
        run_turn();
    }
}
