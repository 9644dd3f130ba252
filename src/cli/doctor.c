/* theriac doctor: what this machine is, which libraries stand behind the command, which data sets are there. What is
 * missing is named with the Debian package that holds it; none of it is needed by every command, so doctor ends with 0.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <stdio.h> /* which jpeglib.h wants before it */

#include <archive.h>
#include <jpeglib.h>
#include <link-grammar/link-includes.h>
#include <pcre2.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <webp/decode.h>
#include <zlib.h>

#include "backend/onednn.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/number.h"
#include "cli/frame.h"

typedef struct {
    const char *name;
    char version[64];
} library;

#define LIBRARIES 11
#define QUOTED(x) QUOTED_TOKENS(x)
#define QUOTED_TOKENS(x) #x

/* The compiler knows the date of the specification only. */
static const char *openmp_version(void) {
    return _OPENMP >= 202111 ? "5.2" : _OPENMP >= 202011 ? "5.1" : _OPENMP >= 201811 ? "5.0" : "4.5";
}

static void look_at_libraries(library l[LIBRARIES]) {
    int webp = WebPGetDecoderVersion(), i = 0;
#define LIBRARY(n, ...) l[i].name = (n), snprintf(l[i++].version, sizeof l->version, __VA_ARGS__)
    LIBRARY("oneDNN", "%s", th_dnn_version());
    LIBRARY("OpenMP", "%s", openmp_version());
    LIBRARY("jansson", "%s", jansson_version_str());
    LIBRARY("libjpeg-turbo", "%s", QUOTED(LIBJPEG_TURBO_VERSION));
    LIBRARY("libpng", "%s", png_get_libpng_ver(NULL));
    LIBRARY("libwebp", "%d.%d.%d", webp >> 16, webp >> 8 & 255, webp & 255);
    LIBRARY("libarchive", "%s", archive_version_string() + strcspn(archive_version_string(), "0123456789"));
    LIBRARY("zlib", "%s", zlibVersion());
    char pcre[64] = "";
    if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) < (int)sizeof pcre) pcre2_config(PCRE2_CONFIG_VERSION, pcre);
    LIBRARY("PCRE2", "%.*s", (int)strcspn(pcre, " "), pcre);
    LIBRARY("utf8proc", "%s", utf8proc_version());
    LIBRARY("link-grammar", "%s", linkgrammar_get_version() + strcspn(linkgrammar_get_version(), "0123456789"));
}

/* A data set or dictionary: there when this file of it is. */
static const struct {
    const char *name, *folder, *file, *package, *used_for;
} data[] = {
    {"Fashion-MNIST", "/usr/share/datasets/fashion-mnist", "train-images-idx3-ubyte.gz", "dataset-fashion-mnist",
     "the fashion scenes of the demo"},
    {"WordNet", "/usr/share/wordnet", "data.noun", "wordnet-base", "sub-texts of CleanerCLIP"},
    {"English dictionary of link-grammar", "/usr/share/link-grammar/en", "4.0.dict", "link-grammar-dictionaries-en",
     "sub-texts of CleanerCLIP"},
};
enum { DATA = sizeof data / sizeof *data };

static bool is_there(int i) {
    char path[TH_PATH_MAX];
    return th_path_join(path, data[i].folder, data[i].file) == TH_OK && th_path_exists(path);
}

static const char *locale_name(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *v = getenv(names[i]);
        if (v && *v) return v;
    }
    return "C";
}

static void row(th_table *t, const char *what, const char *value, th_mark mark, const char *note) {
    th_table_cell(t, "%s", what);
    th_table_cell(t, "%s", value);
    th_table_mark(t, mark);
    th_table_cell(t, "%s", note);
}

static void machine_rows(th_table *t, const th_machine *m) {
    char value[128], size[TH_NUMBER_TEXT];
    row(t, "Processor", m->cpu, TH_PLAIN, "");
#define FEATURE(name) m->name ? " " #name : ""
    snprintf(value, sizeof value, "%s%s%s%s%s", FEATURE(avx2), FEATURE(fma), FEATURE(avx512f), FEATURE(avx512_bf16),
             FEATURE(amx_bf16));
    bool bf16 = m->avx512_bf16 || m->amx_bf16;
    row(t, "Instructions", *value ? value + 1 : "none of note", m->avx2 && m->fma ? TH_PLAIN : TH_BAD,
        bf16 ? "computes in bf16 by default" : "computes in f32 by default: bf16 is not native");
    snprintf(value, sizeof value, "%d", m->cores);
    row(t, "Cores", value, TH_PLAIN, "");
    snprintf(value, sizeof value, "%d", m->processors);
    row(t, "Threads", value, TH_PLAIN, "processors that this process may use");
    th_human_bytes(value, (double)m->memory);
    row(t, "Memory", value, TH_PLAIN, m->limited ? "the limit of the control group" : "");
    th_human_bytes(value, (double)m->available);
    row(t, "Memory available", value, TH_PLAIN, "");
    th_human_bytes(size, (double)m->disk);
    row(t, "Disk space here", m->disk < 0 ? "unknown" : size, TH_PLAIN, "");
    row(t, "Locale", locale_name(), TH_PLAIN, "");
}

static void data_rows(th_table *t) {
    for (int i = 0; i < DATA; i++) {
        char note[200];
        bool there = is_there(i);
        snprintf(note, sizeof note, "package %s, for %s", data[i].package, data[i].used_for);
        row(t, data[i].name, there ? "present" : "missing", there ? TH_GOOD : TH_BAD, there ? data[i].folder : note);
    }
}

static void heading(th_table *t, const char *name) {
    for (int i = 0; i < 3; i++) th_table_cell(t, "%s", ""); /* a line of air */
    th_table_cell(t, "%s", name);
    th_table_mark(t, TH_STRONG);
    for (int i = 0; i < 2; i++) th_table_cell(t, "%s", "");
}

/* One command that mends it all. */
static void verdict(th_cli *cli) {
    int missing = 0;
    for (int i = 0; i < DATA; i++) {
        if (is_there(i)) continue;
        th_str_printf(&cli->out, "%s %s", missing++ ? "" : "\nTo install what is missing: apt install",
                      data[i].package);
    }
    th_str_puts(&cli->out, missing ? "\n" : "\nNothing is missing.\n");
}

static th_status print_table(th_cli *cli, const th_machine *m, const library l[LIBRARIES]) {
    th_table *t = th_table_new(NULL);
    th_table_column(t, TH_LEFT, "Machine");
    th_table_column(t, TH_LEFT, "");
    th_table_column(t, TH_LEFT, "");
    machine_rows(t, m);
    heading(t, "Libraries");
    for (int i = 0; i < LIBRARIES; i++) row(t, l[i].name, l[i].version, TH_PLAIN, "");
    heading(t, "Data");
    data_rows(t);
    th_str_printf(&cli->out, "theriac %s\n\n", th_version());
    th_cli_table(cli, t);
    th_table_free(t);
    verdict(cli);
    return TH_OK;
}

static json_t *data_json(json_t *missing) {
    json_t *all = json_array();
    for (int i = 0; i < DATA; i++) {
        bool there = is_there(i);
        json_array_append_new(all, json_pack("{sssssbss}", "name", data[i].name, "folder", data[i].folder, "present",
                                             there, "package", data[i].package));
        if (!there) json_array_append_new(missing, json_string(data[i].package));
    }
    return all;
}

static th_status print_json(th_cli *cli, const th_machine *m, const library l[LIBRARIES]) {
    json_t *features = json_object(), *libraries = json_object(), *missing = json_array();
#define PUT(name) json_object_set_new(features, #name, json_boolean(m->name));
    TH_FEATURES(PUT)
    for (int i = 0; i < LIBRARIES; i++) json_object_set_new(libraries, l[i].name, json_string(l[i].version));
    json_t *sets = data_json(missing);
    th_cli_json(cli, json_pack("{sssssosisisIsIsbsIsssososo}", "version", th_version(), "cpu", m->cpu, "features",
                               features, "cores", m->cores, "threads", m->processors, "memory", (json_int_t)m->memory,
                               "memory_available", (json_int_t)m->available, "memory_limited", m->limited, "disk_free",
                               (json_int_t)m->disk, "locale", locale_name(), "libraries", libraries, "data", sets,
                               "missing_packages", missing));
    return TH_OK;
}

static th_status run(th_cli *cli) {
    th_machine m;
    library l[LIBRARIES];
    th_machine_look(&m);
    look_at_libraries(l);
    return cli->json ? print_json(cli, &m, l) : print_table(cli, &m, l);
}

const th_verb th_verb_doctor = {
    .name = "doctor",
    .summary = "say what this machine offers and which data or packages are missing",
    .about =
        "Prints the processor and its instruction sets, memory, disk space in the current folder, the versions of "
        "the libraries in use, and the data sets and dictionaries that are there. What is missing is named with the "
        "Debian package that holds it; the exit code is 0 all the same, since no command needs all of them.",
    .examples = "theriac doctor\ntheriac doctor --json",
    .run = run,
};
