#pragma once
/** Numbers with units, and lists of words. Pure. */
#include <keepfs/base/str.h>
#include <stdint.h>

/** conf_bytes_parse() - "64M", "64MiB", "1048576", "none" (0): 0; -EINVAL; -ERANGE beyond INT64_MAX. */
int conf_bytes_parse(const char *text, uint64_t *ret);
void conf_bytes_format(uint64_t bytes, struct str *out);
/** conf_duration_parse() - "500ms", "30s", "5m", "2h", "1d", "0", to milliseconds: 0; -EINVAL; -ERANGE. */
int conf_duration_parse(const char *text, int64_t *ret_ms);
void conf_duration_format(int64_t ms, struct str *out);
int conf_int_parse(const char *text, int64_t *ret);

/** conf_words_parse() - NULL-terminated list on the heap; NULL with @wrong when an entry is empty or repeats.
 */
char **conf_words_parse(const char *text, struct str *wrong);
void conf_words_format(char *const *words, struct str *out);
void conf_words_free(char **words);
