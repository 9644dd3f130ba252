/* TensorBoard's event files: TFRecord framing around three small protobuf messages, Event, Summary and its Value. They
 * are encoded by hand: their nine fields need the thirty lines below, while protobuf-c would add a generated file, a
 * step of the build and a library to them. The field numbers are those of tensorflow's event.proto and summary.proto.
 *
 * A record: length (u64), masked CRC-32C of the length (u32), data, masked CRC-32C of the data (u32); little-endian. */
#include "format/events.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"

#define HEAD 12 /* bytes before a record's data */
#define TAIL 4  /* and behind */
#define VERSION "brain.Event:2"
#define RECORD_MAX ((size_t)256 << 20)

struct th_events {
    int fd;
    char *path;
    int64_t length;        /* of the whole records in the file */
    th_str value, summary; /* messages inside each other, and the record around them; kept for their memory */
    th_str event, record;
};

/* CRC-32C (Castagnoli), bit-reversed polynomial 0x82f63b78, a byte at a time. */
static uint32_t crc32c(const void *bytes, size_t n) {
    static _Thread_local uint32_t table[256];
    if (!table[1])
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
            table[i] = c;
        }
    const uint8_t *b = bytes;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) crc = crc >> 8 ^ table[(crc ^ b[i]) & 255];
    return ~crc;
}

/* TFRecord's mask, so that a checksum of data that hold checksums stays strong. */
static uint32_t masked(const void *bytes, size_t n) {
    uint32_t crc = crc32c(bytes, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Protobuf's wire format: a key is (field number << 3 | type); type 0 is a varint, 1 has 8 bytes, 2 a length, 5 has 4.
 */
static void put_varint(th_str *s, uint64_t v) {
    uint8_t bytes[10];
    size_t n = 0;
    do bytes[n++] = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
    while (v >>= 7);
    th_str_add(s, bytes, n);
}

static void put_integer(th_str *s, uint32_t field, int64_t v) {
    put_varint(s, field << 3);
    put_varint(s, (uint64_t)v);
}

static void put_double(th_str *s, uint32_t field, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits = htole64(bits);
    put_varint(s, field << 3 | 1);
    th_str_add(s, &bits, sizeof bits);
}

static void put_float(th_str *s, uint32_t field, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits = htole32(bits);
    put_varint(s, field << 3 | 5);
    th_str_add(s, &bits, sizeof bits);
}

static void put_bytes(th_str *s, uint32_t field, const void *bytes, size_t n) {
    put_varint(s, field << 3 | 2);
    put_varint(s, n);
    th_str_add(s, bytes, n);
}

static void put_message(th_str *s, uint32_t field, const th_str *message) {
    if (th_str_status(message) != TH_OK && s->status == TH_OK) s->status = th_str_status(message);
    put_bytes(s, field, message->data, message->length);
}

static th_status write_all(th_events *e, const char *bytes, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t k = write(e->fd, bytes + done, n - done);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) {
            th_status s = th_fail_errno(e->path, "write it");
            if (ftruncate(e->fd, e->length) != 0) return s; /* the checksums tell the half record apart anyway */
            return s;
        }
        done += (size_t)k;
    }
    e->length += (int64_t)n;
    return TH_OK;
}

/* Frames e->event and appends it. */
static th_status write_event(th_events *e) {
    TH_TRY(th_str_status(&e->event));
    uint64_t length = htole64(e->event.length);
    uint32_t crc = htole32(masked(&length, sizeof length));
    th_str_clear(&e->record);
    th_str_add(&e->record, &length, sizeof length);
    th_str_add(&e->record, &crc, sizeof crc);
    th_str_add(&e->record, e->event.data, e->event.length);
    crc = htole32(masked(e->event.data, e->event.length));
    th_str_add(&e->record, &crc, sizeof crc);
    TH_TRY(th_str_status(&e->record));
    return write_all(e, e->record.data, e->record.length);
}

/* Event: 1 wall_time, 2 step. */
static void start_event(th_events *e, double wall_time, int64_t step) {
    th_str_clear(&e->event);
    th_str_clear(&e->summary);
    put_double(&e->event, 1, wall_time);
    if (step) put_integer(&e->event, 2, step);
}

static th_status write_version(th_events *e, double wall_time) {
    start_event(e, wall_time, 0);
    put_bytes(&e->event, 3, VERSION, strlen(VERSION)); /* Event.file_version */
    return write_event(e);
}

static th_status check_step(const th_events *e, int64_t step) {
    return step >= 0 ? TH_OK : th_fail(TH_E_USAGE, "%s: a step is not negative", e->path);
}

th_status th_events_scalars(th_events *e, double wall_time, int64_t step, const th_event_scalar *scalars, int count) {
    TH_TRY(check_step(e, step));
    start_event(e, wall_time, step);
    for (int i = 0; i < count; i++) {
        th_str_clear(&e->value);
        put_bytes(&e->value, 1, scalars[i].tag, strlen(scalars[i].tag)); /* Value.tag */
        put_float(&e->value, 2, scalars[i].value);                       /* Value.simple_value */
        put_message(&e->summary, 1, &e->value);                          /* Summary.value */
    }
    put_message(&e->event, 5, &e->summary); /* Event.summary */
    return write_event(e);
}

th_status th_events_image(th_events *e, double wall_time, int64_t step, const char *tag, const th_image *im) {
    TH_TRY(check_step(e, step));
    th_bytes png;
    TH_TRY(th_image_encode_png(im, NULL, 0, &png));
    start_event(e, wall_time, step);
    th_str_clear(&e->record); /* holds Summary.Image for the moment */
    put_integer(&e->record, 1, im->height);
    put_integer(&e->record, 2, im->width);
    put_integer(&e->record, 3, 3); /* colorspace: RGB */
    put_bytes(&e->record, 4, png.data, png.length);
    th_free(png.data);
    th_str_clear(&e->value);
    put_bytes(&e->value, 1, tag, strlen(tag));
    put_message(&e->value, 4, &e->record); /* Value.image */
    put_message(&e->summary, 1, &e->value);
    put_message(&e->event, 5, &e->summary);
    return write_event(e);
}

static bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *v) {
    *v = 0;
    for (int shift = 0; *p < end && shift < 70; shift += 7) {
        uint8_t b = *(*p)++;
        if (shift < 64) *v |= (uint64_t)(b & 127) << shift;
        if (b < 128) return true;
    }
    return false;
}

/* Steps over a field's value of this wire type. */
static bool skip_field(const uint8_t **p, const uint8_t *end, unsigned type) {
    uint64_t n;
    if (type == 0) return get_varint(p, end, &n);
    if (type == 1)
        n = 8;
    else if (type == 5)
        n = 4;
    else if (type != 2 || !get_varint(p, end, &n))
        return false;
    if (n > (uint64_t)(end - *p)) return false;
    *p += n;
    return true;
}

/* The step of an Event, 0 where it has none; and whether it states the version, as the first one does. */
static bool read_event(const uint8_t *p, size_t n, int64_t *step, bool *version) {
    const uint8_t *end = p + n;
    *step = 0;
    *version = false;
    while (p < end) {
        uint64_t key, v;
        if (!get_varint(&p, end, &key)) return false;
        if (key == (2 << 3 | 0)) {
            if (!get_varint(&p, end, &v)) return false;
            *step = (int64_t)v;
            continue;
        }
        const uint8_t *value = p;
        if (!skip_field(&p, end, key & 7)) return false;
        size_t prefix = strlen("brain.Event:");
        if (key == (3 << 3 | 2) && (size_t)(p - value) > prefix) *version = !memcmp(value + 1, VERSION, prefix);
    }
    return true;
}

/* The length of the whole record at the front of n bytes; 0 if there is none. */
static size_t record_length(const uint8_t *b, size_t n) {
    uint64_t length;
    uint32_t crc;
    if (n < HEAD + TAIL) return 0;
    memcpy(&length, b, sizeof length);
    memcpy(&crc, b + 8, sizeof crc);
    length = le64toh(length);
    if (le32toh(crc) != masked(b, 8) || length > n - HEAD - TAIL) return 0;
    memcpy(&crc, b + HEAD + length, sizeof crc);
    return le32toh(crc) == masked(b + HEAD, length) ? HEAD + TAIL + (size_t)length : 0;
}

size_t th_events_whole(const void *bytes, size_t n, int64_t last_step) {
    const uint8_t *b = bytes;
    size_t at = 0, length;
    while ((length = record_length(b + at, n - at))) {
        int64_t step;
        bool version;
        if (!read_event(b + at + HEAD, length - HEAD - TAIL, &step, &version)) break;
        if (at == 0 ? !version : step > last_step) break;
        at += length;
    }
    return at;
}

static th_status events_new(const char *path, th_events **out) {
    th_events *e = th_alloc(1, sizeof *e);
    if (!e) return th_fail_memory();
    e->fd = -1;
    th_str_init(&e->value, RECORD_MAX);
    th_str_init(&e->summary, RECORD_MAX);
    th_str_init(&e->event, RECORD_MAX);
    th_str_init(&e->record, RECORD_MAX);
    e->path = th_strdup(path);
    if (!e->path) return th_events_close(e), th_fail_memory();
    *out = e;
    return TH_OK;
}

/* What of the file is kept. A file shorter than any header is what is left of a crash, or was empty. */
static th_status find_end(th_events *e, int64_t last_step) {
    if (!th_path_exists(e->path)) return TH_OK;
    th_mapping m;
    TH_TRY(th_file_map(e->path, &m));
    size_t whole = m.length ? th_events_whole(m.data, m.length, last_step) : 0;
    bool ours = whole > 0 || m.length < HEAD + TAIL + strlen(VERSION);
    th_file_unmap(&m);
    if (!ours) return th_fail(TH_E_INPUT, "%s: is no TensorBoard event file, it is left alone", e->path);
    e->length = last_step < 0 ? 0 : (int64_t)whole;
    return TH_OK;
}

static th_status start(th_events *e, double wall_time, int64_t last_step) {
    TH_TRY(find_end(e, last_step));
    e->fd = open(e->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (e->fd < 0 || ftruncate(e->fd, e->length) != 0) return th_fail_errno(e->path, "write it");
    return e->length ? TH_OK : write_version(e, wall_time);
}

th_status th_events_open(const char *path, double wall_time, int64_t last_step, th_events **out) {
    th_events *e = NULL;
    TH_TRY(events_new(path, &e));
    th_status s = start(e, wall_time, last_step);
    if (s != TH_OK) return th_events_close(e), s;
    *out = e;
    return TH_OK;
}

th_status th_events_sync(th_events *e) { return fdatasync(e->fd) == 0 ? TH_OK : th_fail_errno(e->path, "write it"); }

void th_events_close(th_events *e) {
    if (!e) return;
    if (e->fd >= 0) close(e->fd);
    th_str_free(&e->value);
    th_str_free(&e->summary);
    th_str_free(&e->event);
    th_str_free(&e->record);
    th_free(e->path);
    th_free(e);
}
