// SPDX-License-Identifier: Apache-2.0
/* TLS: whom is trusted, and what is said when nobody can be. */
#include "net_test.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>

/* A certificate for 127.0.0.1 that signs itself. */
static SSL_CTX *self_signed(const char *pem_path)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509V3_CTX context;
	X509_EXTENSION *name;
	FILE *pem = fopen(pem_path, "w");

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	                           (const unsigned char *)"t", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	name = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1");
	X509_add_ext(cert, name, -1);
	X509_EXTENSION_free(name);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
	assert_non_null(pem);
	assert_int_equal(PEM_write_X509(pem, cert), 1);
	fclose(pem);
	X509_free(cert);
	EVP_PKEY_free(key);
	return tls;
}

static int perform_tls(const char *ca_file, const char *host, int port, struct error *err)
{
	const struct net_options options = {.ca_file = ca_file, .max_connections = 1};
	struct net_request req = {
	        .method = "GET", .connect_timeout_ms = LONG_MS, .stall_timeout_ms = LONG_MS};
	_cleanup(net_response) struct net_response answer = {0};
	_cleanup(free) char *url = mem_printf("https://%s:%d/", host, port);
	struct net *net;
	int rc;

	req.url = url;
	*err = (struct error){0};
	assert_int_equal(net_new(&options, &net, err), 0);
	rc = net_perform(net, &req, &answer, err);
	net_free(net);
	return rc;
}

static void test_tls_is_verified(void **state)
{
	char pem[] = "/tmp/test_net_XXXXXX";
	struct server server;
	struct error err;
	SSL_CTX *tls;

	close(mkstemp(pem));
	tls = self_signed(pem);
	server_start(&server, reply_hello, tls);
	assert_int_equal(perform_tls(NULL, "127.0.0.1", server.port, &err), -EACCES);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_false(err.retry);
	assert_non_null(strstr(err.message, "ca_file"));
	assert_int_equal(perform_tls(pem, "127.0.0.1", server.port, &err), 0);
	assert_int_equal(perform_tls(pem, "localhost", server.port, &err),
	                 -EACCES); /* trusted, but another's */
	assert_int_equal(perform_tls("/nonexistent.pem", "127.0.0.1", server.port, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	server_stop(&server);
	SSL_CTX_free(tls);
	unlink(pem);
}

static void test_no_tls_is_spoken(void **state)
{
	struct server server;
	struct error err;

	server_start(&server, reply_hello, NULL);
	assert_int_equal(perform_tls(NULL, "127.0.0.1", server.port, &err), -EPROTO);
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "cannot agree on TLS with https://127.0.0.1:"));
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tls_is_verified),
	        cmocka_unit_test(test_no_tls_is_spoken),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("net_tls", tests, NULL, NULL);
}
