/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/numbers.h"

#include <stdlib.h>

#include "base/units.h"

enum err
number_flag(const struct cli *c, const char *name, unsigned max, unsigned *out,
	struct error *err)
{
	const char *text = flag_text(c, name);
	unsigned long n;
	char *end;

	if (text == NULL)
		return ERR_OK;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || n < 1 || n > max)
		return err_set(err, ERR_USAGE,
			"--%s: a number from 1 to %u is wanted", name, max);
	*out = (unsigned)n;
	return ERR_OK;
}

enum err
number_size(const struct cli *c, const char *name, uint32_t unit, uint32_t *out,
	struct error *err)
{
	const char *text = flag_text(c, name);
	uint64_t n;
	enum err rc;

	if (text == NULL)
		return ERR_OK;
	rc = units_parse_bytes(&n, text, err);
	if (rc == ERR_OK && (n / unit == 0 || n / unit > UINT32_MAX))
		rc = err_set(err, ERR_USAGE, "--%s: out of range", name);
	if (rc == ERR_OK)
		*out = (uint32_t)(n / unit);
	return rc;
}

enum err
number_kdf(struct kdf_cost *out, const struct cli *c, struct error *err)
{
	unsigned passes = KDF_COST_DEFAULT.passes;
	enum err rc;

	*out = KDF_COST_DEFAULT;
	rc = number_size(c, "kdf-memory", 1024, &out->mem_kib, err);
	if (rc == ERR_OK)
		rc = number_flag(c, "kdf-passes", 64, &passes, err);
	out->passes = passes;
	return rc;
}
