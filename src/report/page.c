/* The report: collects the body as HTML, and frames it with head, contents and style sheet at the end. */
#include "report/page.h"

#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "report/figure.h"
#include "report/style.h"

#define PAGE_MAX ((size_t)1 << 30)
enum { CONTENTS_FROM = 4 }; /* fewer sections need no table of contents */

struct th_page {
    char *title;
    th_str lead, body, contents;
    size_t opening; /* bytes of the body before the first section */
    int64_t sections, figures;
    th_status status;
};

th_page *th_page_new(const char *title) {
    th_page *page = th_alloc(1, sizeof *page);
    if (!page) return NULL;
    page->title = th_strdup(title);
    th_str_init(&page->lead, PAGE_MAX);
    th_str_init(&page->body, PAGE_MAX);
    th_str_init(&page->contents, PAGE_MAX);
    if (page->title) return page;
    th_page_free(page);
    return NULL;
}

void th_page_free(th_page *page) {
    if (!page) return;
    th_free(page->title);
    th_str_free(&page->lead);
    th_str_free(&page->body);
    th_str_free(&page->contents);
    th_free(page);
}

static void keep(th_page *page, th_status s) {
    if (page->status == TH_OK) page->status = s;
}

/* <p class="…"> for each line of the text. */
static void paragraphs(th_str *out, const char *class, const char *text) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = th_strndup(text, n);
        if (!line) {
            out->status = th_fail_memory();
            return;
        }
        if (n) {
            th_str_printf(out, *class ? "<p class=\"%s\">" : "<p>", class);
            th_str_html(out, line);
            th_str_puts(out, "</p>\n");
        }
        th_free(line);
        text += n + (text[n] == '\n');
    }
}

void th_page_lead(th_page *page, const char *text) {
    if (page) paragraphs(&page->lead, "lead", text);
}

void th_page_text(th_page *page, const char *text) {
    if (page) paragraphs(&page->body, "", text);
}

void th_page_note(th_page *page, const char *text) {
    if (page) paragraphs(&page->body, "note", text);
}

void th_page_command(th_page *page, const char *line) {
    if (!page) return;
    th_str_puts(&page->body, "<pre class=\"command\"><code>");
    th_str_html(&page->body, line);
    th_str_puts(&page->body, "</code></pre>\n");
}

void th_page_keys(th_page *page, const th_key *keys, int64_t count) {
    if (!page) return;
    th_str_puts(&page->body, "<dl class=\"keys\">\n");
    for (int64_t i = 0; i < count; i++) {
        th_str_puts(&page->body, "<div><dt>");
        th_str_html(&page->body, keys[i].name);
        th_str_puts(&page->body, "</dt><dd>");
        th_str_html(&page->body, keys[i].value);
        th_str_puts(&page->body, "</dd>");
        if (keys[i].detail) {
            th_str_puts(&page->body, "<dd class=\"detail\">");
            th_str_html(&page->body, keys[i].detail);
            th_str_puts(&page->body, "</dd>");
        }
        th_str_puts(&page->body, "</div>\n");
    }
    th_str_puts(&page->body, "</dl>\n");
}

void th_page_section(th_page *page, const char *heading) {
    if (!page) return;
    if (page->sections == 0) page->opening = page->body.length;
    th_str_printf(&page->body, "%s<section aria-labelledby=\"h%lld\">\n<h2 id=\"h%lld\">",
                  page->sections ? "</section>\n" : "", (long long)page->sections, (long long)page->sections);
    th_str_html(&page->body, heading);
    th_str_puts(&page->body, "</h2>\n");
    th_str_printf(&page->contents, "<li><a href=\"#h%lld\">", (long long)page->sections++);
    th_str_html(&page->contents, heading);
    th_str_puts(&page->contents, "</a></li>\n");
}

static const char *mark_class(th_mark mark) {
    static const char *const names[] = {"", "strong", "good", "bad", "faint"};
    return names[mark];
}

/* "93.1 ± 0.4" has its half width in a fainter type. */
static void cell_text(th_str *out, const char *text) {
    const char *between = strstr(text, " ± ");
    char value[64];
    size_t n = between ? (size_t)(between - text) : sizeof value;
    if (n >= sizeof value) {
        th_str_html(out, text);
        return;
    }
    memcpy(value, text, n);
    value[n] = '\0';
    th_str_html(out, value);
    th_str_puts(out, "<span class=\"pm\">");
    th_str_html(out, between);
    th_str_puts(out, "</span>");
}

static void table_cell(th_str *out, const th_table *t, int64_t row, int64_t column) {
    const th_cell *c = &t->cells[row * t->column_count + column];
    bool head = column == 0 && t->columns[0].align == TH_LEFT, right = t->columns[column].align == TH_RIGHT;
    th_str_puts(out, head ? "<th scope=\"row\"" : "<td");
    if (c->mark != TH_PLAIN || !right)
        th_str_printf(out, " class=\"%s%s%s\"", mark_class(c->mark), c->mark != TH_PLAIN && !right ? " " : "",
                      right ? "" : "left");
    th_str_puts(out, ">");
    cell_text(out, c->text);
    th_str_puts(out, head ? "</th>" : "</td>");
}

void th_page_table(th_page *page, const th_table *t) {
    if (!page) return;
    th_status s = th_table_status(t);
    keep(page, s);
    if (s != TH_OK) return;
    th_str *out = &page->body;
    th_str_puts(out, "<div class=\"scroll\"><table>\n");
    if (t->caption) {
        th_str_puts(out, "<caption><span>");
        th_str_html(out, t->caption);
        th_str_puts(out, "</span></caption>\n");
    }
    th_str_puts(out, "<thead><tr>");
    for (int64_t c = 0; c < t->column_count; c++) {
        th_str_printf(out, "<th scope=\"col\"%s>", t->columns[c].align == TH_RIGHT ? " class=\"right\"" : "");
        th_str_html(out, t->columns[c].name);
        th_str_puts(out, "</th>");
    }
    th_str_puts(out, "</tr></thead>\n<tbody>\n");
    for (int64_t i = 0; i < th_table_rows(t); i++) {
        th_str_puts(out, "<tr>");
        for (int64_t c = 0; c < t->column_count; c++) table_cell(out, t, i, c);
        th_str_puts(out, "</tr>\n");
    }
    th_str_puts(out, "</tbody>\n</table></div>\n");
}

void th_page_plot(th_page *page, const th_plot *p) {
    if (page) keep(page, th_plot_html(p, &page->body, (int)page->figures++));
}

void th_page_bars(th_page *page, const th_bars *b) {
    if (page) keep(page, th_bars_html(b, &page->body));
}

static th_status picture(th_str *out, const th_tile *tile) {
    th_bytes png;
    TH_TRY(th_image_encode_png(tile->image, NULL, 0, &png));
    bool small = tile->image->width < 160 && tile->image->height < 160;
    th_str_printf(out, "<img%s width=\"%d\" height=\"%d\" alt=\"", small ? " class=\"pixels\"" : "",
                  (int)tile->image->width, (int)tile->image->height);
    th_str_html(out, tile->alt ? tile->alt : tile->caption ? tile->caption : "");
    th_str_puts(out, "\" src=\"data:image/png;base64,");
    th_base64_encode(out, png.data, png.length);
    th_str_puts(out, "\">");
    th_free(png.data);
    return TH_OK;
}

static th_status tile_html(th_str *out, const th_tile *tile) {
    th_str_printf(out, "<figure class=\"tile %s\">", mark_class(tile->mark));
    if (tile->image) TH_TRY(picture(out, tile));
    if (tile->caption || tile->detail) {
        th_str_puts(out, "<figcaption>");
        if (tile->mark == TH_GOOD) th_str_puts(out, "<span class=\"sign\">✓</span> ");
        if (tile->mark == TH_BAD) th_str_puts(out, "<span class=\"sign\">✗</span> ");
        if (tile->caption) th_str_html(out, tile->caption);
        if (tile->detail) {
            th_str_puts(out, "<small>");
            th_str_html(out, tile->detail);
            th_str_puts(out, "</small>");
        }
        th_str_puts(out, "</figcaption>");
    }
    th_str_puts(out, "</figure>\n");
    return TH_OK;
}

void th_page_grid(th_page *page, const th_grid *g) {
    if (!page) return;
    th_str *out = &page->body;
    th_figure_begin(out, "grid", g->title, g->caption);
    if (g->tile_count == 0) th_figure_note(out, "There are no pictures to show.");
    if (g->columns > 0)
        th_str_printf(out, "<div class=\"scroll\"><div class=\"tiles\" style=\"--columns:%lld\">\n",
                      (long long)g->columns);
    else
        th_str_puts(out, "<div class=\"scroll\"><div class=\"tiles fit\">\n");
    for (int64_t i = 0; g->heads && i < g->columns; i++) {
        th_str_puts(out, "<div class=\"head\">");
        th_str_html(out, g->heads[i] ? g->heads[i] : "");
        th_str_puts(out, "</div>\n");
    }
    for (int64_t i = 0; i < g->tile_count; i++) keep(page, tile_html(out, &g->tiles[i]));
    th_str_puts(out, "</div></div>\n");
    th_figure_end(out);
}

static th_status text_status(const th_page *page) {
    if (!page) return th_fail_memory();
    TH_TRY(page->status);
    TH_TRY(th_str_status(&page->lead));
    TH_TRY(th_str_status(&page->body));
    return th_str_status(&page->contents);
}

th_status th_page_html(th_page *page, th_str *out) {
    TH_TRY(text_status(page));
    th_str_puts(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                     "style-src 'unsafe-inline'\">\n<title>");
    th_str_html(out, page->title);
    th_str_puts(out, "</title>\n<style>\n");
    for (const char *const *part = th_page_style; *part; part++) th_str_puts(out, *part);
    th_str_puts(out, "</style>\n</head>\n<body>\n<main>\n<header>\n<h1>");
    th_str_html(out, page->title);
    th_str_puts(out, "</h1>\n");
    th_str_puts(out, th_str_text(&page->lead));
    th_str_puts(out, "</header>\n");
    size_t opening = page->sections ? page->opening : page->body.length;
    th_str_add(out, th_str_text(&page->body), opening);
    if (page->sections >= CONTENTS_FROM)
        th_str_printf(out, "<nav aria-label=\"Contents\"><ol>\n%s</ol></nav>\n", th_str_text(&page->contents));
    th_str_puts(out, th_str_text(&page->body) + opening);
    if (page->sections) th_str_puts(out, "</section>\n");
    th_str_printf(out, "<footer>Made by theriac %s.</footer>\n</main>\n</body>\n</html>\n", th_version());
    return th_str_status(out);
}

th_status th_page_write(th_page *page, const char *path) {
    th_str text;
    th_str_init(&text, PAGE_MAX);
    th_status status = th_page_html(page, &text);
    if (status == TH_OK) status = th_file_write(path, th_str_text(&text), text.length);
    th_str_free(&text);
    return status;
}
