// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Mail: one message to one recipient, handed to a server over SMTP (RFC 5321), with TLS and a login where they are asked
 * for. */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct net_mail {           /* all borrowed */
	const char *server; /* "smtps://host[:port]", "smtp://host[:port]" */
	bool clear_text;    /* smtp:// without STARTTLS; else a server that has none is refused */
	const char *user;   /* NULL or "": no login */
	const char *password;
	const char *ca_file; /* PEM file to trust in place of the system's; NULL or "": the system's */
	const char *from, *to;
	const char
	        *message; /* whole, as RFC 5322 has it, lines ended by CR LF; NULL: connect and log in only */
	int64_t connect_timeout_ms;
	int64_t timeout_ms; /* of the whole */
	struct cancel *cancel;
};

/**
 * net_send_mail() - hand it over; blocks, any thread
 *
 * Return: 0: the server has taken it. Else negative with @err, whose code is the server's last answer ("550"; "" when there
 * was none): ERROR_UNAVAILABLE and ERROR_TIMEOUT, also for answers of 4xx (retry set); -EACCES (ERROR_DENIED): the
 * certificate is not trusted, or user or password are refused; -EPERM (ERROR_DENIED): sender, recipient or message are
 * refused, which will be so again; -EPROTO (ERROR_USAGE): it has no STARTTLS; -ECANCELED.
 */
int net_send_mail(const struct net_mail *mail, struct error *err);
