// SPDX-License-Identifier: Apache-2.0
#pragma once
/** notify_systemd() - tell the service manager (sd_notify(3)'s protocol: a datagram to $NOTIFY_SOCKET);
 * nothing without one. */
void notify_systemd(const char *state);
