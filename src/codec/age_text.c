// SPDX-License-Identifier: Apache-2.0
/* The two ways in which age writes bytes as text: base64 in headers and armor, Bech32 in keys. */
#include "age_private.h"

#include <string.h>

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* A group of up to three bytes is up to four digits, one more than it has bytes. */
static void append_group(struct str *out, const uint8_t *p, size_t len)
{
	uint32_t bits = (uint32_t)p[0] << 16;

	if (len > 1)
		bits |= (uint32_t)p[1] << 8;
	if (len > 2)
		bits |= p[2];
	for (size_t i = 0; i <= len; i++)
		str_append_char(out, base64_digits[bits >> (18 - 6 * i) & 63]);
}

void age_base64_append(struct str *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (; len > 3; p += 3, len -= 3)
		append_group(out, p, 3);
	if (len > 0)
		append_group(out, p, len);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool age_base64_decode(const char *text, size_t len, uint8_t *ret, size_t *ret_len)
{
	uint32_t bits = 0; /* the low `count` of them are not written yet */
	unsigned count = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int value = base64_value(text[i]);

		if (value < 0)
			return false;
		bits = (bits << 6 | (uint32_t)value) & 0xffff;
		count += 6;
		if (count < 8)
			continue;
		count -= 8;
		ret[n++] = (uint8_t)(bits >> count);
	}
	/* A digit that holds no whole byte, or bits behind the last byte that are not 0: another text for the same bytes. */
	if (count >= 6 || (bits & ((1U << count) - 1)) != 0)
		return false;
	*ret_len = n;
	return true;
}

#define CHECKSUM_DIGITS 6U
#define DATA_DIGITS     52U /* of 5 bits each, 260 in all: the last four are 0 */

static const char bech32_digits[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* BIP 173: one step of the BCH code. */
static uint32_t add_digit(uint32_t sum, unsigned digit)
{
	static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint32_t top = sum >> 25;

	sum = (sum & 0x1ffffff) << 5 ^ digit;
	for (size_t i = 0; i < 5; i++)
		if (top >> i & 1)
			sum ^= generator[i];
	return sum;
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static char to_lower_case(char c)
{
	return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

/* The checksum is always of the lower case. */
static uint32_t add_prefix(const char *prefix)
{
	uint32_t sum = 1;

	for (const char *p = prefix; *p; p++)
		sum = add_digit(sum, (unsigned)to_lower_case(*p) >> 5);
	sum = add_digit(sum, 0);
	for (const char *p = prefix; *p; p++)
		sum = add_digit(sum, (unsigned)to_lower_case(*p) & 31);
	return sum;
}

static char digit_character(unsigned digit, bool upper)
{
	char c = bech32_digits[digit];

	return upper && c >= 'a' ? (char)(c - 'a' + 'A') : c;
}

static unsigned digit_of_key(const uint8_t *key, size_t i)
{
	size_t bit = 5 * i, byte = bit / 8;
	unsigned two = (unsigned)key[byte] << 8 | (byte + 1 < AGE_KEY_BYTES ? key[byte + 1] : 0);

	return two >> (11 - bit % 8) & 31;
}

void age_bech32_encode(const char *prefix, const uint8_t key[static AGE_KEY_BYTES], char *ret)
{
	uint32_t sum = add_prefix(prefix);
	bool upper = is_upper(prefix[0]);

	for (; *prefix; prefix++)
		*ret++ = *prefix;
	*ret++ = '1';
	for (size_t i = 0; i < DATA_DIGITS; i++) {
		unsigned digit = digit_of_key(key, i);

		sum = add_digit(sum, digit);
		*ret++ = digit_character(digit, upper);
	}
	for (size_t i = 0; i < CHECKSUM_DIGITS; i++)
		sum = add_digit(sum, 0);
	sum ^= 1;
	for (size_t i = 0; i < CHECKSUM_DIGITS; i++)
		*ret++ = digit_character(sum >> 5 * (CHECKSUM_DIGITS - 1 - i) & 31, upper);
	*ret = '\0';
}

/* The value of a digit in the one case that is right; -1: none. */
static int bech32_value(char c, bool upper)
{
	const char *at;

	if (c == '\0' || (c >= 'a' && c <= 'z' && upper) || (is_upper(c) && !upper))
		return -1;
	at = strchr(bech32_digits, to_lower_case(c));
	return at ? (int)(at - bech32_digits) : -1;
}

bool age_bech32_decode(const char *text, size_t len, const char *prefix, uint8_t ret[static AGE_KEY_BYTES])
{
	size_t prefix_len = strlen(prefix), n = 0;
	uint32_t sum = add_prefix(prefix), bits = 0;
	bool upper = is_upper(prefix[0]);
	unsigned count = 0;

	if (len != prefix_len + 1 + DATA_DIGITS + CHECKSUM_DIGITS || memcmp(text, prefix, prefix_len) != 0 ||
	    text[prefix_len] != '1')
		return false;
	text += prefix_len + 1;
	for (size_t i = 0; i < DATA_DIGITS + CHECKSUM_DIGITS; i++) {
		int value = bech32_value(text[i], upper);

		if (value < 0)
			return false;
		sum = add_digit(sum, (unsigned)value);
		if (i >= DATA_DIGITS)
			continue;
		bits = (bits << 5 | (unsigned)value) & 0xfff;
		count += 5;
		if (count < 8)
			continue;
		count -= 8;
		ret[n++] = (uint8_t)(bits >> count);
	}
	return sum == 1 && (bits & ((1U << count) - 1)) == 0;
}
