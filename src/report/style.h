/* The style sheet of reports. */
#ifndef TH_REPORT_STYLE_H
#define TH_REPORT_STYLE_H

/* In parts, ended by a NULL: a compiler need not take a longer literal than 4,095 characters. */
extern const char *const th_page_style[];

#endif
