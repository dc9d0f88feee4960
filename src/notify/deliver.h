// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Parts of delivering that tests and probes use by themselves. */
#include "notify_private.h"

/** mail_hand_over() - @text NULL: connect and log in only. */
int mail_hand_over(const struct conf_mail *mail, const char *to, const char *text, struct cancel *cancel,
                   struct delivery_result *ret, struct error *err);
/** webhook_probe(), heartbeat_probe() - can its secrets be had, and is its template sound for @m? Nothing is sent. */
int webhook_probe(const struct conf_webhook *w, const struct message *m, struct error *err);
int heartbeat_probe(const struct conf_heartbeat *h, const struct message *m, struct error *err);
