/* SPDX-License-Identifier: Apache-2.0 */
/* sanitizer: HAVE_SANITIZER where one watches memory, and takes some itself. */
#ifndef TESTS_LIB_SANITIZER_H
#define TESTS_LIB_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAVE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAVE_SANITIZER 1
#endif
#endif

#endif /* TESTS_LIB_SANITIZER_H */
