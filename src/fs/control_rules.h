// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Who may write and read which file of control/, and who may confirm: what [control] says, with the numbers of its users and groups, which are looked
 * up once, before the mount serves, since a directory service is never asked by FUSE's threads. All of it is constant from then on; any thread.
 */
#include "fs_private.h"

struct control_rules;

/** control_rules_new() - of @conf; who is named there and not there is logged, and gets nothing. May wait for a directory service. */
struct control_rules *control_rules_new(const struct conf_control *conf);
/** control_rules_free() - NULL allowed; returns NULL. */
struct control_rules *control_rules_free(struct control_rules *c);
/** control_rules_any() - is there a rule about any file? */
bool control_rules_any(const struct control_rules *c);
/** control_rules_name() - is there one about the file @name of control/? Then the modes say nothing of it. */
bool control_rules_name(const struct control_rules *c, const char *name);
/** control_rules_let() - may he write it, or with !@writes read it? */
bool control_rules_let(const struct control_rules *c, const struct rights *who, const char *name,
                       bool writes);
/** control_rules_know() - does any rule give him anything? */
bool control_rules_know(const struct control_rules *c, const struct rights *who);
/** control_rules_confirm() - may he confirm what others have ordered? */
bool control_rules_confirm(const struct control_rules *c, const struct rights *who);
/** control_rules_confirm_by() - the same of whoever makes the request: root too is asked for his groups. Reads /proc, if anybody confirms anything. */
bool control_rules_confirm_by(const struct control_rules *c, fuse_req_t req);
