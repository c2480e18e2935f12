/* SPDX-License-Identifier: Apache-2.0 */
/* fake_reader: the files of tests/engine/fake.h, read. */
#ifndef TESTS_ENGINE_FAKE_READER_H
#define TESTS_ENGINE_FAKE_READER_H

#include "tests/engine/fake.h"

struct reader *fake_reader_new(struct fake *f, struct fake_file *file);

void fake_count_call(struct fake *f);

/* Whether off lies in a hole, and where that or the data ends. */
bool fake_run(const struct fake_file *file, uint64_t off, uint64_t *end);

#endif /* TESTS_ENGINE_FAKE_READER_H */
