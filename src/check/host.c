// SPDX-License-Identifier: Apache-2.0
/* The host: space and rights where the catalog lives, and what mounting needs. */
#include "check_private.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CATALOG_SPACE_BYTES ((uint64_t)64 << 20) /* some 100,000 backups and their history */

/* Can a file be made, written and made durable in @directory? */
static int try_write(const char *directory)
{
	_cleanup(free) char *path = mem_printf("%s/.probe-XXXXXX", directory);
	char page[4096] = "";
	_cleanup(fd) int fd = mkostemp(path, O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	unlink(path);
	r = fd_write_all(fd, page, sizeof(page));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

char *make_directory_command(const char *path)
{
	struct str fix = {0};

	str_appendf(&fix, "install -d -m 0700 -o %lld -g %lld ", (long long)geteuid(), (long long)getegid());
	str_append_shell_word(&fix, path);
	return str_take(&fix);
}

void probe_catalog(struct probe *p, const struct conf *conf)
{
	const char *dir = conf->state_dir;
	_cleanup(fd) int dir_fd = -1;
	struct error err = {0};
	struct statvfs vfs;
	uint64_t available;
	char text[32];
	int r;

	if (statvfs(dir, &vfs) < 0) {
		_cleanup(free) char *fix = make_directory_command(dir);

		probe_add_failure(
		        p, "catalog", fix,
		        "%s: %s; make it, or set [keepfs] state_dir to a directory that this user may write",
		        dir, strerrordesc_np(errno));
		return;
	}
	dir_fd = catalog_directory_open(dir, &err);
	if (dir_fd < 0) {
		probe_add(p, false, "catalog", "%s", err.message);
		return;
	}
	r = try_write(dir);
	if (r < 0) {
		_cleanup(free) char *fix = make_directory_command(dir);

		probe_add_failure(
		        p, "catalog", fix,
		        "%s cannot be written: %s; keepfs must be able to make files there, as the user it runs as",
		        dir, strerrordesc_np(-r));
		return;
	}
	available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	str_format_bytes(text, sizeof(text), available);
	if (available < CATALOG_SPACE_BYTES)
		probe_add(
		        p, false, "catalog",
		        "only %s are free in %s: the catalog needs room, without it no backup can be recorded; free some space",
		        text, dir);
	else
		probe_add(p, true, "catalog", "%s can be written, %s are free", dir, text);
}

/* Is there a program @name in $PATH? */
static bool find_program(const char *name)
{
	const char *path = getenv("PATH");
	_cleanup(free) char *copy = mem_strdup(path ? path : "/usr/bin:/bin");
	char *rest = copy, *directory;

	while ((directory = strsep(&rest, ":"))) {
		_cleanup(free) char *file = mem_printf("%s/%s", directory, name);

		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

/* Does /etc/fuse.conf let users who are not root use allow_other? */
static bool users_may_allow_other(void)
{
	_cleanup(str) struct str text = {0};
	char *rest, *line;

	if (fd_read_file("/etc/fuse.conf", 65536, &text) < 0 || !text.data)
		return false;
	rest = text.data;
	while ((line = strsep(&rest, "\n"))) {
		static const char option[] = "user_allow_other";

		line += strspn(line, " \t");
		if (str_starts(line, option) &&
		    line[sizeof(option) - 1 + strspn(line + sizeof(option) - 1, " \t\r")] == '\0')
			return true;
	}
	return false;
}

const char *fuse_device_advice(int errnum)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
		return "the device is there, and this process may not use it: start a container with --device /dev/fuse --cap-add SYS_ADMIN; elsewhere give the user the right (chmod 0666 /dev/fuse)";
	case ENOENT:
		return "there is no such device: load the module (modprobe fuse), or start a container with --device /dev/fuse --cap-add SYS_ADMIN";
	case ENXIO:
	case ENODEV:
		return "nothing is behind the device: load the module (modprobe fuse), of the host when this is a container";
	default:
		return "see the kernel's log (dmesg)";
	}
}

const char *fuse_device_fix(int errnum)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
		return "chmod 0666 /dev/fuse (in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN ...)";
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return "modprobe fuse (in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN ...)";
	default:
		return NULL;
	}
}

/* May this process call mount(2)? Root may not in a container without the capability, and a service with it needs no
 * root. */
static bool may_mount(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	return syscall(SYS_capget, &head, data) == 0 &&
	       data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

void probe_fuse(struct probe *p, const struct conf *conf)
{
	_cleanup(fd) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	bool alone = may_mount();

	if (fd < 0)
		probe_add_failure(p, "fuse", fuse_device_fix(errno), "/dev/fuse cannot be opened: %s; %s",
		                  strerrordesc_np(errno), fuse_device_advice(errno));
	else if (!alone && geteuid() == 0)
		probe_add_failure(
		        p, "fuse", "docker run --device /dev/fuse --cap-add SYS_ADMIN ...",
		        "root may not mount here, since the capability SYS_ADMIN is missing; start the container with --cap-add SYS_ADMIN");
	else if (!alone && !find_program("fusermount3"))
		probe_add_failure(
		        p, "fuse", "apt-get install fuse3",
		        "fusermount3 is not in the PATH, and only root mounts without it; install the package fuse3");
	else if (!alone && conf->allow_other && !users_may_allow_other())
		probe_add_failure(
		        p, "fuse", "echo user_allow_other >>/etc/fuse.conf",
		        "[keepfs] allow_other is set, which /etc/fuse.conf does not let users do; add a line 'user_allow_other' there, or unset it");
	else
		probe_add(p, true, "fuse", "/dev/fuse can be opened%s",
		          alone ? "" : ", fusermount3 is there");
}
