// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The types of values, for the table in value.c: how each is read, described and written. */
#include "keys.h"

struct value_ops {
	int (*parse)(const struct conf_key *key, const char *text, void *field, struct str *wrong);
	void (*allowed)(const struct conf_key *key, struct str *out);
	void (*format)(const struct conf_key *key, const void *field, struct str *out);
};

extern const struct value_ops conf_databases_ops, conf_name_patterns_ops;
extern const struct value_ops conf_words_ops, conf_patterns_ops, conf_classes_ops, conf_compression_ops,
        conf_rate_ops;
extern const struct value_ops conf_file_patterns_ops, conf_subdirectories_ops;
extern const struct value_ops conf_schedule_ops, conf_timezone_ops, conf_blackout_ops;
extern const struct value_ops conf_addresses_ops, conf_address_ops, conf_mail_server_ops, conf_web_url_ops;
extern const struct value_ops conf_headers_ops, conf_events_ops, conf_template_ops;
extern const struct value_ops conf_query_ops, conf_column_ops, conf_columns_ops, conf_table_patterns_ops;
extern const struct value_ops conf_references_ops, conf_redactions_ops, conf_column_patterns_ops;
extern const struct value_ops conf_type_redactions_ops, conf_settings_ops, conf_tenant_name_ops;
extern const struct value_ops conf_admins_ops, conf_control_rules_ops, conf_people_ops, conf_recipients_ops;

/** conf_value_wrong() - say what is wrong; returns -EINVAL. */
int conf_value_wrong(struct str *wrong, const char *what);
/** conf_value_check_range() - is what a parser returned (@r, @value) within the key's bounds? @what: when it
 * is no number at all. */
int conf_value_check_range(const struct conf_key *key, int r, int64_t value, const char *what,
                           struct str *wrong);
