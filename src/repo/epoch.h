/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoch: the three steps of each prune, and what counts after them
 * (docs/format.md, section 12; docs/decisions/0008).
 *
 *   epoch_read -> what is the newest epoch, and how far did it get
 *   epoch_condemned_put, epoch_final_put, epoch_done_put: its steps
 *
 * A struct condemned or final owns its arrays; all are ascending.
 */
#ifndef REPO_EPOCH_H
#define REPO_EPOCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/time.h"
#include "repo/keys.h"
#include "store/store.h"

enum { CONDEMNED_PACKS_MAX = 1000000 };
#define EPOCH_MAX 999999999999999999u /* 18 digits */

/* A snapshot by its name: snapshots/NS/SID. */
struct snapshot_name {
	struct uid ns, sid;
};

/* By ns, then sid: < 0, 0, > 0. */
int epoch_snapshot_cmp(const struct snapshot_name *a,
	const struct snapshot_name *b);

/* An index segment by its name: index/EPOCH/ID or index/EPOCH.base/ID. */
struct segment_ref {
	uint64_t epoch;
	bool base;
	struct id id;
};

/* A forgotten snapshot that a prune sweeps: forgotten/NS/SID.K. */
struct doomed {
	struct snapshot_name name;
	uint64_t k;
};

struct condemned {
	struct when time;
	struct id *packs;
	size_t n_packs;
	struct id *made; /* packs with copies of what lived in some of these */
	size_t n_made;
	struct segment_ref *segments; /* void ones, to be deleted */
	size_t n_segments;
	struct segment_ref *counted; /* all that counted, listed last of all
					before this was created */
	size_t n_counted;
	struct doomed *doomed;
	size_t n_doomed;
	struct snapshot_name *known; /* that were looked at */
	size_t n_known;
};
void condemned_fini(struct condemned *c);
bool condemned_has_pack(const struct condemned *c, const struct id *pack);
bool condemned_has_counted(const struct condemned *c,
	const struct segment_ref *seg);

struct final {
	struct when time;
	struct id *spared; /* packs of the condemned list */
	size_t n_spared;
	struct segment_ref *segments; /* that count */
	size_t n_segments;
	struct snapshot_name *snapshots; /* that count */
	size_t n_snapshots;
};
void final_fini(struct final *f);
bool final_spares(const struct final *f, const struct id *pack);
bool final_has_segment(const struct final *f, const struct segment_ref *seg);

enum epoch_step { EPOCH_NONE, EPOCH_CONDEMNED, EPOCH_FINAL, EPOCH_DONE };

/* The newest epoch (0: there was none) and its last step; the newest epoch
 * that has a final (0: none). */
struct epoch_state {
	uint64_t newest;
	enum epoch_step step;
	uint64_t final;
};

/* ERR_CORRUPT where the names below prune/ cannot be. */
enum err epoch_read(struct store *st, struct epoch_state *out,
	struct error *err) MUST_CHECK;

/* ERR_EXISTS: another prune was first.  ERR_DENIED by role. */
enum err epoch_condemned_put(struct store *st, const struct keyset *ks,
	uint64_t epoch, const struct condemned *c,
	struct error *err) MUST_CHECK;
enum err epoch_final_put(struct store *st, const struct keyset *ks,
	uint64_t epoch, const struct final *f, struct error *err) MUST_CHECK;
enum err epoch_done_put(struct store *st, const struct keyset *ks,
	uint64_t epoch, struct error *err) MUST_CHECK;

enum err epoch_condemned_get(struct store *st, const struct keyset *ks,
	uint64_t epoch, struct condemned *out, struct error *err) MUST_CHECK;
enum err epoch_final_get(struct store *st, const struct keyset *ks,
	uint64_t epoch, struct final *out, struct error *err) MUST_CHECK;

/* Remove the objects of all epochs before epoch, which is done. */
enum err epoch_forget_before(struct store *st, uint64_t epoch,
	struct error *err) MUST_CHECK;

/*
 * What counts now: the state and, where state.final > 0, its list.  Read
 * again where that final was removed meanwhile, because a newer one is there.
 *
 * It is read after the listing that it is applied to: what a late request
 * brought back is void by a final that was there before.
 */
struct counting {
	struct epoch_state state;
	struct final final;
};
enum err counting_read(struct store *st, const struct keyset *ks,
	struct counting *out, struct error *err) MUST_CHECK;
void counting_fini(struct counting *c);
bool counting_segment(const struct counting *c, const struct segment_ref *seg);
bool counting_snapshot(const struct counting *c,
	const struct snapshot_name *name, uint64_t view);

/*
 * Whether a session with this view may deduplicate against the segment: as
 * counting_segment, but while the epoch of its view is open (condemned is
 * then its list) only what that list counted, or what has this view.  Other
 * segments may be late ones of fenced sessions, which the final will not
 * name.
 */
bool counting_for_claims(const struct counting *c, uint64_t view,
	const struct condemned *condemned, const struct segment_ref *seg);

#endif /* REPO_EPOCH_H */
