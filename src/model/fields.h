/* SPDX-License-Identifier: Apache-2.0 */
/* fields: numbers of an entry's encoding (docs/format.md, section 8) that its
 * encoder and its decoder share.  Private to the floor. */
#ifndef MODEL_FIELDS_H
#define MODEL_FIELDS_H

enum entry_field {
	FIELD_USER = 1 << 0,
	FIELD_GROUP = 1 << 1,
	FIELD_NLINK = 1 << 2,
	FIELD_RDEV = 1 << 3,
	FIELD_TARGET = 1 << 4,
	FIELD_XATTRS = 1 << 5,
	FIELD_FLAGS = 1 << 6,
	FIELD_MARKS = 1 << 7,
	FIELD_CONTENT = 1 << 8,
	FIELD_XATTR_SLICES = 1 << 9,
	FIELD_DEV = 1 << 10,
	FIELDS_KNOWN = (1 << 11) - 1,
	/* Above bit 23 are those that a reader may pass over. */
	FIELDS_REFUSED = ((1 << 24) - 1) & ~FIELDS_KNOWN
};

enum { MODE_MAX = 07777, NSEC_END = 1000000000, SLICE_END_MAX = 16 << 20 };

#endif /* MODEL_FIELDS_H */
