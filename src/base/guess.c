/* The nearest word by edit distance, swaps of neighbours counted as one edit ("tua" for "tau"): the restricted
 * Damerau–Levenshtein distance (Boytsov 2011, "Indexing methods for approximate dictionary searching", § 2). */
#include "base/guess.h"

#include <string.h>

enum { LONGEST = 63 };

static int least(int a, int b) { return a < b ? a : b; }

int th_edit_distance(const char *a, const char *b) {
    int n = (int)strnlen(a, LONGEST), m = (int)strnlen(b, LONGEST);
    int rows[3][LONGEST + 1]; /* this row of the table and the two above it */
    for (int j = 0; j <= m; j++) rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = rows[i % 3], *up = rows[(i + 2) % 3], *upper = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            int d = least(least(up[j], now[j - 1]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            now[j] = swapped ? least(d, upper[j - 2] + 1) : d;
        }
    }
    return rows[n % 3][m];
}

void th_guess_offer(th_guess *g, const char *candidate) {
    int d = th_edit_distance(g->word, candidate);
    size_t n = strlen(g->word);
    /* The beginning of a word is as good as one slip, however much is left out. */
    if (n >= 3 && !strncmp(g->word, candidate, n)) d = 1;
    int most = n <= 3 ? 1 : n <= 7 ? 2 : 3;
    if (d > most || d >= (int)n || (g->best && d >= g->distance)) return;
    g->best = candidate;
    g->distance = d;
}
