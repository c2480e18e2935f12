/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletion by epochs (docs/decisions/0008) as a model for Spin.
 *
 * Writers, prunes and somebody who forgets and undeletes share a store. Each
 * step is one request, or one listing.  A process that takes no further step
 * has crashed, or sleeps, or waits for a request that the store will execute
 * long after everybody gave up on it: Spin tries all of that.  What it cannot
 * express is a writer that gives up on its commit and goes on; that request
 * is left to the server.
 *
 * Sets are bit masks.  Snapshot 0 was there before; snapshot s is the commit
 * of session s.  Packs 0 and 1 were there before, with the chunks 1 and 2;
 * snapshot 0 needs only the first.  Session s puts at most one pack, number
 * s + 1; prune p moves at most one chunk, to pack MOVED + p.  Segments are
 * modelled as what they tell, the packs that are in the index: a final names
 * packs, and that packs of one segment may fare differently is a matter of
 * rewriting it.
 *
 * The variable bug is 0, or one of the deliberate errors below, each of which
 * must be found; run-spin reads their names from here.
 */
#ifndef SESSIONS
#define SESSIONS 3 /* at most 4 */
#endif
#ifndef EPOCHS
#define EPOCHS 2 /* at most 4 */
#endif

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef PRUNES
#define PRUNES 2 /* at most 3: one that may sleep anywhere, a brisk one, and
		    another that may sleep anywhere */
#endif
/* With CLEANER, three prunes at the end leave nothing but what is needed,
 * whenever everybody else dies. */
#ifdef CLEANER
bool dead;
#define ALIVE provided (!dead)
#define LAST (EPOCHS - 3)
#else
#define ALIVE
#define LAST EPOCHS
#endif
#ifndef FORGETS
#define FORGETS 1 /* at most 2 */
#endif
#ifndef MOVES
#define MOVES (p == 0) /* which prune moves chunks */
#endif
#define BUG_SESSIONS_BEFORE_CONDEMNED 1
#define BUG_COMMIT_OVERWRITES 2
#define BUG_SESSIONS_NOT_RESOLVED 3
#define BUG_SNAPSHOTS_BEFORE_SESSIONS 4
#define BUG_FORGOTTEN_IS_NO_ROOT 5
#define BUG_DELETE_BEFORE_FINAL 6
#define BUG_NO_LOOK_FOR_NEWER_EPOCH 7
#define BUG_VOID_COUNTS 8
#define BUG_SESSION_ENDS_WITH_COMMIT_UNDER_WAY 9
#define BUG_VIEW_READ_ONCE 10
#define BUG_COMMIT_NOT_LOOKED_AT 11
#define BUG_CONDEMNED_IS_CLAIMED 12
#define BUG_LATE_SEGMENT_IS_CLAIMED 13
#define BUG_SEGMENTS_BEFORE_SNAPSHOTS 14
#define BUG_FENCES_LISTED_AFTER_LOOK 15
#define BUG_COUNTED_BEFORE_MARKS 16
#define BUG_UNDELETE_NOT_LOOKED_AT 17
#define BUG_UNDELETE_OVERWRITES 18
#define BUG_FINAL_OVERWRITES 19
#define BUG_FENCES_SWEPT_BEFORE_FINAL 20
#define BUG_FINAL_NAMES_DELETED 21
/* These leave garbage for ever. */
#define BUG_GARBAGE_VOID_STAYS 22
#define BUG_GARBAGE_SESSIONS_STAY 23
byte bug;

#define bit(i) (1 << (i))
#define has(set, i) (((set) >> (i)) & 1)

/* The store. */
#define NO_PARENT 255
#define MOVED 6
byte packs = 3;
byte segments;          /* sessions whose segment is there */
byte based, moved[2], based_in[2]; /* base segments of the prunes' packs */
byte sessions;
byte snapshots = 1, fences;
byte view[SESSIONS + 1], refs[SESSIONS + 1], own[SESSIONS + 1];
byte forgotten, undeleted, swept; /* of snapshot 0, by K */
byte condemned, final, done;      /* by epoch */
byte c_packs[EPOCHS + 1], c_counted[EPOCHS + 1], c_doomed[EPOCHS + 1];
byte f_index[EPOCHS + 1], f_snapshots[EPOCHS + 1], f_packs[EPOCHS + 1];
byte late; /* commits that nobody waits for any more */

/* What was said to users. */
byte told;
bool told_undeleted;

byte chunk; /* the one that all want */
byte sid = 1; /* the next one, never used before */

/* 4 to 0: the highest epoch in the set */
#define highest(set) (has(set, 4) -> 4 : (has(set, 3) -> 3 : \
	(has(set, 2) -> 2 : has(set, 1))))
#define NEWEST highest(condemned)
#define F highest(final)

#define CHUNKS(p) (((p) & 3) | own_in(p, 1) | own_in(p, 2) | OWN3(p) | \
	OWN4(p) | (has(p, MOVED) -> moved[0] : 0) | \
	(has(p, MOVED + 1) -> moved[1] : 0))
#define own_in(p, s) (has(p, s + 1) -> own[s] : 0)
#define REFS(set) (refs_in(set, 0) | refs_in(set, 1) | refs_in(set, 2) | \
	REFS3(set) | REFS4(set))
#define refs_in(set, s) (has(set, s) -> refs[s] : 0)
/* packs of those segments in the set whose view is at least v */
#define PACKS_SINCE(set, v) (since(set, 1, v) | since(set, 2, v) | \
	SINCE3(set, v) | SINCE4(set, v))
#define since(set, s, v) (has(set, s) && view[s] >= (v) -> bit(s + 1) : 0)
/* the sessions whose view is at least v */
#define SINCE(v) (viewed(0, v) | viewed(1, v) | viewed(2, v) | VIEWED3(v) | \
	VIEWED4(v))
#define viewed(s, v) (view[s] >= (v) -> bit(s) : 0)
#if SESSIONS > 2
#define OWN3(p) own_in(p, 3)
#define REFS3(set) refs_in(set, 3)
#define SINCE3(set, v) since(set, 3, v)
#define VIEWED3(v) viewed(3, v)
#else
#define OWN3(p) 0
#define REFS3(set) 0
#define SINCE3(set, v) 0
#define VIEWED3(v) 0
#endif
#if SESSIONS > 3
#define OWN4(p) own_in(p, 4)
#define REFS4(set) refs_in(set, 4)
#define SINCE4(set, v) since(set, 4, v)
#define VIEWED4(v) viewed(4, v)
#else
#define OWN4(p) 0
#define REFS4(set) 0
#define SINCE4(set, v) 0
#define VIEWED4(v) 0
#endif

/* The packs in the index, by the segments in the set; and the snapshots that
 * count.  With bug, as by someone who knows no finals. */
#define INDEX(set) ((F == 0 -> 3 : f_index[F]) | PACKS_SINCE(set, F))
#define COUNTING (snapshots & (SINCE(F) | f_snapshots[F]))
#define COUNTED_BY_SOME (bug == BUG_VOID_COUNTS -> snapshots : COUNTING)

#define is_forgotten(k) (has(forgotten, k) && !has(undeleted, k))
#define FORGOTTEN (is_forgotten(0) || is_forgotten(1))
#define GONE (swept != 0)

/* What must hold in every state. */
#define GOOD (snapshots_whole && index_whole && promises_kept)
#define KEPT (COUNTING & ~(GONE -> 1 : 0))
#define snapshots_whole \
	((REFS(KEPT) & ~CHUNKS(INDEX(segments) & packs)) == 0)
#define index_whole ((INDEX(segments) & ~packs) == 0)
#define promises_kept ((told & ~COUNTING) == 0 && \
	(!told_undeleted || (has(COUNTING, 0) && !GONE)))

active proctype monitor()
{
end:
	atomic {
		!GOOD -> assert(false)
	}
}

inline create_snapshot(s, ok)
{
	if
	:: has(snapshots, s) || (has(fences, s) &&
			bug != BUG_COMMIT_OVERWRITES) -> ok = false
	:: else ->
		snapshots = snapshots | bit(s);
		fences = fences & ~bit(s);
		ok = true
	fi
}

/* The store executes what a writer has given up on. */
proctype server() ALIVE
{
	byte s;
	bool ok;
end:
	do
	:: atomic {
		late != 0 ->
		s = 1;
		do
		:: has(late, s) -> break
		:: else -> s++
		od;
		late = late & ~bit(s);
		create_snapshot(s, ok);
		s = 0;
		ok = false
	}
	od
}

proctype writer() ALIVE
{
	byte s, seen, u;
	bool ok;

begin:
	atomic {
		s = 0; seen = 0; u = 0; ok = false;
		if
		:: sid > SESSIONS -> goto over
		:: else -> s = sid; sid++
		fi;
		u = NEWEST
	}
	d_step {
		view[s] = u;
		sessions = sessions | bit(s);
		u = 0
	}
	/* A parent is looked for by listing snapshots, then marks, then what
	 * counts.  A tree that has a parent is all of the parent: what else it
	 * might need, another session needs too. */
	atomic {
		if
		:: NEWEST != view[s] && bug != BUG_VIEW_READ_ONCE ->
			sessions = sessions & ~bit(s);
			goto begin
		:: else
		fi;
		if
		:: u = NO_PARENT
		:: has(snapshots, 0) && refs[0] == chunk -> u = 0
		:: has(snapshots, 1) -> u = 1
		:: has(snapshots, 2) -> u = 2
		fi;
		if
		:: bug == BUG_COUNTED_BEFORE_MARKS && u != NO_PARENT &&
				!has(COUNTING, u) -> u = NO_PARENT
		:: else
		fi
	}
	atomic {
		if
		:: u == 0 && FORGOTTEN -> u = NO_PARENT
		:: else
		fi;
		if
		:: u == NO_PARENT
		:: else ->
			if
			:: has(COUNTED_BY_SOME, u) ||
					bug == BUG_COUNTED_BEFORE_MARKS ->
				refs[s] = refs[u]
			:: else
			fi
		fi;
		u = 0;
		/* The index: segments are listed, then what counts. */
		seen = (refs[s] == 0 -> segments : 0)
	}
	if
	:: refs[s] != 0
	:: atomic {
		refs[s] == 0 ->
		if
		:: F > view[s] -> goto begin
		:: F == view[s] -> u = INDEX(seen)
		:: F < view[s] && bug == BUG_LATE_SEGMENT_IS_CLAIMED ->
			u = INDEX(seen) & ~c_packs[view[s]]
		:: F < view[s] && bug != BUG_LATE_SEGMENT_IS_CLAIMED ->
			u = (c_counted[view[s]] | PACKS_SINCE(seen, view[s])) &
				~(bug == BUG_CONDEMNED_IS_CLAIMED ->
					0 : c_packs[view[s]])
		fi;
		refs[s] = chunk;
		if
		:: chunk & CHUNKS(u)
		:: else -> own[s] = refs[s]
		fi;
		u = 0;
		seen = 0
	}
	fi;
	if
	:: own[s] == 0
	:: own[s] != 0 ->
		packs = packs | bit(s + 1);
		if
		:: segments = segments | bit(s)
		:: goto begin
		fi
	fi;

	if
	:: atomic {
		late = late | bit(s);
		if
		:: bug == BUG_SESSION_ENDS_WITH_COMMIT_UNDER_WAY ->
			sessions = sessions & ~bit(s)
		:: else
		fi;
		goto begin
	}
	:: d_step { create_snapshot(s, ok) }
	fi;
	if
	:: ok -> goto begin
	:: atomic {
		if
		:: ok && (F <= view[s] || has(f_snapshots[F], s) ||
				bug == BUG_COMMIT_NOT_LOOKED_AT) ->
			told = told | bit(s)
		:: else
		fi;
		sessions = sessions & ~bit(s);
		goto begin
	}
	fi;
over:
	skip
}

proctype forgetter() ALIVE
{
	byte k;

	do
	:: k == FORGETS || chunk != refs[0] || !has(snapshots, 0) ||
			FORGOTTEN -> break
	:: d_step {
		k < FORGETS && chunk == refs[0] && has(snapshots, 0) &&
				!FORGOTTEN ->
		told_undeleted = false;
		forgotten = forgotten | bit(k)
	}
		if
		:: break
		:: is_forgotten(k) && (!has(swept, k) ||
				bug == BUG_UNDELETE_OVERWRITES)
		fi;
		atomic {
			if
			:: has(swept, k) && bug != BUG_UNDELETE_OVERWRITES ->
				break
			:: else ->
				undeleted = undeleted | bit(k);
				swept = swept & ~bit(k)
			fi
		}
		d_step {
			if
			:: has(snapshots, 0) ||
					bug == BUG_UNDELETE_NOT_LOOKED_AT ->
				told_undeleted = true
			:: else
			fi;
			k++
		}
	od
}

/* One pack with this chunk, of those in set: prune 0 takes the first, prune 1
 * the last, so that they choose differently. */
inline choose(set, chunk, out)
{
	i = (p == 0 -> 0 : 7);
	do
	:: has(set, i) && (CHUNKS(bit(i)) & (chunk)) != 0 ->
		out = out | bit(i);
		break
	:: else ->
		if
		:: i == (p == 0 -> 7 : 0) -> break
		:: else -> i = (p == 0 -> i + 1 : i - 1)
		fi
	od;
	i = 0
}

inline choose_all(set, chunks, out)
{
	if
	:: (chunks) & 1 -> choose(set, 1, out)
	:: else
	fi;
	if
	:: (chunks) & 2 -> choose(set, 2, out)
	:: else
	fi;
	if
	:: (chunks) & 4 -> choose(set, 4, out)
	:: else
	fi
}

#define PRUNE_VARIABLES \
	byte e, i, u; \
	byte c, doomed;	/* the condemned list */ \
	byte live, x, keep; \
	byte todo;	/* sessions */ \
	byte roots;	/* snapshots */ \
	byte old_sessions, old_fences, gone

inline read_epoch(last)
{
	c = 0; doomed = 0; live = 0; x = 0; keep = 0; todo = 0; roots = 0;
	old_sessions = 0; old_fences = 0; gone = 0;
	e = NEWEST;
	if
	:: e != 0 && !has(done, e) ->
		if
		:: has(final, e) -> goto follow
		:: else -> goto resolve
		fi
	:: else -> e++
	fi;
	if
	:: e > last -> goto over
	:: else
	fi
}

inline plan()
{
	x = packs;
	roots = COUNTED_BY_SOME;
	if
	:: is_forgotten(0) -> doomed = 1
	:: is_forgotten(1) -> doomed = 2
	:: else
	fi;
	if
	:: doomed != 0 -> roots = roots & ~1
	:: else
	fi;
	live = REFS(roots);
	roots = 0;
	u = INDEX(segments);
	choose_all(u, live, keep);
	c = x & ~keep;
	u = 0;
	x = 0;
	if
	:: bug == BUG_SESSIONS_BEFORE_CONDEMNED -> todo = sessions & ~SINCE(e)
	:: else
	fi
}

/* Copy a chunk that is kept to a pack of its own. */
inline move()
{
	moved[p] = live & 1;
	if
	:: moved[p] == 0 -> moved[p] = live & 2
	:: else
	fi;
	if
	:: moved[p] == 0 -> moved[p] = live & 4
	:: else
	fi;
	packs = packs | bit(MOVED + p);
	based_in[p] = e;
	based = based | bit(MOVED + p);
	choose(keep, moved[p], c);
	live = 0;
	keep = 0
}

inline condemn()
{
	live = 0;
	keep = 0;
	if
	:: has(condemned, e) -> goto again
	:: else
	fi;
	condemned = condemned | bit(e);
	c_packs[e] = c;
	c_doomed[e] = doomed;
	c_counted[e] = INDEX(segments)
}

inline list_sessions()
{
	c = c_packs[e];
	doomed = c_doomed[e];
	if
	:: bug == BUG_SNAPSHOTS_BEFORE_SESSIONS -> roots = COUNTED_BY_SOME
	:: else
	fi;
	if
	:: bug == BUG_SESSIONS_BEFORE_CONDEMNED
	:: bug == BUG_SESSIONS_NOT_RESOLVED
	:: else -> todo = sessions & ~SINCE(e)
	fi
}

/* The next session of todo: fenced when its grace is over, or it ends. */
inline resolve_session(ended)
{
	i = 1;
	do
	:: has(todo, i) -> break
	:: else -> i++
	od;
	if
	:: true ->
		if
		:: !has(snapshots, i) -> fences = fences | bit(i)
		:: else
		fi
	:: ended && !has(sessions, i)
	fi;
	todo = todo & ~bit(i);
	i = 0
}

/* Marks, snapshots, segments. */
inline judge()
{
	if
	:: doomed != 0 && !has(undeleted, doomed - 1) ->
		swept = swept | bit(doomed - 1);
		gone = 1
	:: else
	fi;
	if
	:: bug == BUG_SNAPSHOTS_BEFORE_SESSIONS
	:: else -> roots = COUNTED_BY_SOME
	fi;
	if
	:: gone || (FORGOTTEN && bug == BUG_FORGOTTEN_IS_NO_ROOT) ->
		roots = roots & ~1
	:: else
	fi;
	gone = 0;
	doomed = 0;
	if
	:: bug == BUG_SEGMENTS_BEFORE_SNAPSHOTS
	:: else -> x = segments
	fi;
	x = INDEX(x) |
		(has(based, MOVED) && based_in[0] == e -> bit(MOVED) : 0) |
		(has(based, MOVED + 1) && based_in[1] == e ->
			bit(MOVED + 1) : 0);
	keep = x & ~c;
	live = REFS(roots) & ~CHUNKS(keep);
	u = x & c;
	choose_all(u, live, keep);
	u = 0;
	live = 0;
	c = c & ~keep;
	/* Segments of this view and later ones count anyway. */
	x = ((bug == BUG_FINAL_NAMES_DELETED -> x : keep)) &
		~PACKS_SINCE(255, e);
	keep = 0
}

inline put_final()
{
	if
	:: has(final, e) && bug != BUG_FINAL_OVERWRITES
	:: else ->
		/* What counts is never made void. */
		assert(F >= e || (KEPT & ~SINCE(e) & ~roots) == 0);
		final = final | bit(e);
		f_index[e] = x;
		f_packs[e] = c;
		f_snapshots[e] = roots & ~SINCE(e)
	fi;
	c = 0;
	x = 0;
	roots = 0
}

/* What is to be deleted is listed, then newer epochs are. */
inline look()
{
	if
	:: !has(final, e) -> goto again
	:: else
	fi;
	c = f_packs[e];
	gone = snapshots & ~SINCE(e) & ~f_snapshots[e];
	old_fences = fences;
	old_sessions = sessions & ~SINCE(e);
	if
	:: NEWEST > e && bug != BUG_NO_LOOK_FOR_NEWER_EPOCH -> goto again
	:: else
	fi
}

inline sweep()
{
	packs = packs & ~c;
	c = 0;
	snapshots = snapshots &
		~(bug == BUG_GARBAGE_VOID_STAYS -> gone & 1 : gone);
	fences = fences & ~old_fences;
	old_fences = 0;
	if
	:: has(gone, 0) ->
		forgotten = 0;
		undeleted = 0;
		swept = 0
	:: else
	fi;
	gone = 0;
	sessions = sessions &
		~(bug == BUG_GARBAGE_SESSIONS_STAY -> 0 : old_sessions);
	old_sessions = 0
}

inline put_done()
{
	done = done | bit(e);
	i = 1;
	do
	:: i < e ->
		condemned = condemned & ~bit(i);
		final = final & ~bit(i);
		done = done & ~bit(i);
		c_packs[i] = 0; c_counted[i] = 0; c_doomed[i] = 0;
		f_index[i] = 0; f_snapshots[i] = 0; f_packs[i] = 0;
		i++
	:: else -> break
	od;
	i = 0
}

/* A prune that may fall asleep anywhere. */
proctype prune(bit p) ALIVE
{
	PRUNE_VARIABLES;

again:
	atomic { read_epoch(LAST) }
	d_step { plan() }
	if
	:: skip
	:: atomic { MOVES && moved[p] == 0 && live != 0 -> move() }
	fi;
	atomic { condemn() }
resolve:
	atomic { list_sessions() }
	do
	:: atomic { todo != 0 -> resolve_session(true) }
	:: todo == 0 -> break
	od;
	if
	:: bug == BUG_SEGMENTS_BEFORE_SNAPSHOTS -> x = segments
	:: else
	fi;
	atomic { judge() }
	if
	:: bug == BUG_DELETE_BEFORE_FINAL -> packs = packs & ~c
	:: else
	fi;
	if
	:: bug == BUG_FENCES_SWEPT_BEFORE_FINAL -> fences = fences & SINCE(e)
	:: else
	fi;
	d_step { put_final() }
follow:
	atomic { look() }
	if
	:: bug == BUG_FENCES_LISTED_AFTER_LOOK -> old_fences = fences
	:: else
	fi;
	d_step { sweep() }
	d_step { put_done() }
	goto again;
over:
	skip
}

/* A prune that only falls asleep, or dies, between its four steps. */
proctype brisk_prune(bit p) ALIVE
{
	PRUNE_VARIABLES;

again:
	atomic {
		read_epoch(LAST);
		plan();
		condemn()
	}
resolve:
	atomic {
		list_sessions();
		do
		:: todo != 0 -> resolve_session(false)
		:: todo == 0 -> break
		od
	}
	atomic {
		judge();
		put_final()
	}
follow:
	atomic {
		look();
		sweep();
		put_done()
	}
	goto again;
over:
	skip
}

#define CLEAN (fences == 0 && sessions == 0 && \
	(snapshots & ~COUNTING) == 0 && !(FORGOTTEN && has(snapshots, 0)) && \
	(packs & ~INDEX(segments)) == 0 && \
	(CHUNKS(packs) & ~REFS(snapshots)) == 0 && \
	condemned == bit(EPOCHS))

#ifdef CLEANER
/* Everybody else has died. */
proctype cleaner(bit p)
{
	PRUNE_VARIABLES;

	dead = true;
again:
	atomic {
		read_epoch(EPOCHS);
		plan();
		condemn()
	}
resolve:
	atomic {
		list_sessions();
		do
		:: todo != 0 -> resolve_session(false)
		:: todo == 0 -> break
		od;
		judge();
		put_final()
	}
follow:
	atomic {
		look();
		sweep();
		put_done();
		goto again
	}
over:
	assert(CLEAN)
}
#endif

init {
	c_code {
		now.bug = getenv("BUG") ? (uchar)atoi(getenv("BUG")) : 0;
	};
	atomic {
		refs[0] = 1;
		if
		:: chunk = 1
		:: chunk = 2
		:: chunk = 4
		fi;
		run server();
		run writer();
#if WRITERS > 1
		run writer();
#endif
		run forgetter();
		run prune(0);
#if PRUNES > 1
		run brisk_prune(1);
#endif
#if PRUNES > 2
		run prune(1);
#endif
#ifdef CLEANER
		run cleaner(1);
#endif
		skip
	}
}
