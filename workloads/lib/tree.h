/*
 * tree.h - a transactional red-black tree of distinct keys (R. Bayer 1972; L. Guibas and
 * R. Sedgewick 1978), rebalanced bottom-up through parent references.
 *
 * Bottom-up, because an operation then writes only where it must: most insertions and removals
 * write a node or two near the leaves, and blocks at different places do not conflict.  The two
 * children of a node are an array, so each case is written once and its mirror image is the other
 * index.
 *
 * Invariants: keys grow from child[0] over the node to child[1]; the root is black; a red node has
 * no red child; each path from the root down to a missing child has equally many black nodes.
 *
 * All functions may be called inside of blocks, and outside of them in setup and verify.
 */
#ifndef ALLCORES_LIB_TREE_H
#define ALLCORES_LIB_TREE_H

#include "tm.h"

struct tree_node;
typedef TM_REF(struct tree_node) tree_node_ref;

struct tree_node {
    TM_HEADER;
    uint64_t key;
    tree_node_ref child[2]; /* NULL: missing, and counts as black */
    tree_node_ref parent;   /* NULL: the root */
    uint64_t red;           /* 0 or 1 */
};

struct tree {
    TM_HEADER;
    tree_node_ref root;
};
typedef TM_REF(struct tree) tree_ref;

/* Which child of a parent: an index that is 0 or 1. */
typedef unsigned tree_side;

/* An empty tree, owned by the caller, see tree_free. */
TM_FN static inline tree_ref tree_new(TM_SELF) { return tm_new(self, struct tree); }

TM_FN static inline bool tree_is_red(TM_SELF, tree_node_ref node) {
    return node != NULL && tm_get(node, red) != 0;
}

TM_FN static inline tree_side tree_side_of(TM_SELF, tree_node_ref parent, tree_node_ref node) {
    return tm_get_at(parent, child, 1) == node;
}

/* The node with this key, or NULL. */
TM_FN static inline tree_node_ref tree_find(TM_SELF, tree_ref tree, uint64_t key) {
    tree_node_ref node = tm_get(tree, root);
    while (node != NULL) {
        const uint64_t found = tm_get(node, key);
        if (found == key)
            break;
        node = tm_get_at(node, child, key > found);
    }
    return node;
}

TM_FN static inline bool tree_contains(TM_SELF, tree_ref tree, uint64_t key) {
    return tree_find(self, tree, key) != NULL;
}

/* `after` (may be NULL) takes the place of `before` under `parent` (NULL: as root).  The parent
 * reference of `after` is the caller's business. */
TM_FN static inline void tree_replace(TM_SELF, tree_ref tree, tree_node_ref parent,
                                      tree_node_ref before, tree_node_ref after) {
    if (parent == NULL)
        tm_set(tree, root, after);
    else
        tm_set_at(parent, child, tree_side_of(self, parent, before), after);
}

/* `node` goes down to `side`, its child of the other side comes up. */
TM_FN static void tree_rotate(TM_SELF, tree_ref tree, tree_node_ref node, tree_side side) {
    const tree_node_ref up = tm_get_at(node, child, !side);
    const tree_node_ref middle = tm_get_at(up, child, side);
    const tree_node_ref parent = tm_get(node, parent);
    tm_set_at(node, child, !side, middle);
    if (middle != NULL)
        tm_set(middle, parent, node);
    tm_set(up, parent, parent);
    tree_replace(self, tree, parent, node, up);
    tm_set_at(up, child, side, node);
    tm_set(node, parent, up);
}

/* `node` is red: so may be its parent, or it may be the root. */
TM_FN static void tree_fix_insertion(TM_SELF, tree_ref tree, tree_node_ref inserted) {
    tree_node_ref node = inserted;
    tree_node_ref parent = tm_get(node, parent);
    while (parent != NULL && tm_get(parent, red)) {
        const tree_node_ref grandparent = tm_get(parent, parent); /* a red node is not the root */
        const tree_side side = tree_side_of(self, grandparent, parent);
        const tree_node_ref uncle = tm_get_at(grandparent, child, !side);
        if (tree_is_red(self, uncle)) {
            tm_set(parent, red, 0);
            tm_set(uncle, red, 0);
            tm_set(grandparent, red, 1);
            node = grandparent;
            parent = tm_get(node, parent);
            continue;
        }
        if (tm_get_at(parent, child, !side) == node) {
            tree_rotate(self, tree, parent, side);
            parent = node;
        }
        tm_set(parent, red, 0);
        tm_set(grandparent, red, 1);
        tree_rotate(self, tree, grandparent, !side);
        return;
    }
    if (parent == NULL)
        tm_set(node, red, 0);
}

/* False when the key was there already. */
TM_FN static bool tree_insert(TM_SELF, tree_ref tree, uint64_t key) {
    tree_node_ref parent = NULL;
    tree_side side = 0;
    for (tree_node_ref node = tm_get(tree, root); node != NULL;) {
        const uint64_t found = tm_get(node, key);
        if (found == key)
            return false;
        parent = node;
        side = key > found;
        node = tm_get_at(node, child, side);
    }
    const tree_node_ref inserted = tm_new(self, struct tree_node);
    tm_set(inserted, key, key);
    tm_set(inserted, parent, parent);
    tm_set(inserted, red, 1);
    if (parent == NULL)
        tm_set(tree, root, inserted);
    else
        tm_set_at(parent, child, side, inserted);
    tree_fix_insertion(self, tree, inserted);
    return true;
}

/* The paths through child `side` of `parent` lack a black node. */
TM_FN static void tree_fix_removal(TM_SELF, tree_ref tree, tree_node_ref below, tree_side lacking) {
    tree_node_ref parent = below;
    tree_side side = lacking;
    while (parent != NULL) {
        tree_node_ref sibling = tm_get_at(parent, child, !side); /* exists: its paths lack none */
        if (tm_get(sibling, red)) {
            tm_set(sibling, red, 0);
            tm_set(parent, red, 1);
            tree_rotate(self, tree, parent, side);
            sibling = tm_get_at(parent, child, !side);
        }
        const tree_node_ref near = tm_get_at(sibling, child, side);
        tree_node_ref far = tm_get_at(sibling, child, !side);
        if (!tree_is_red(self, far)) {
            if (!tree_is_red(self, near)) {
                tm_set(sibling, red, 1);
                if (tm_get(parent, red)) {
                    tm_set(parent, red, 0);
                    return;
                }
                const tree_node_ref grandparent = tm_get(parent, parent);
                if (grandparent != NULL)
                    side = tree_side_of(self, grandparent, parent);
                parent = grandparent;
                continue;
            }
            tm_set(near, red, 0);
            tm_set(sibling, red, 1);
            tree_rotate(self, tree, sibling, !side);
            far = sibling;
            sibling = near;
        }
        tm_set(sibling, red, tm_get(parent, red));
        tm_set(parent, red, 0);
        tm_set(far, red, 0);
        tree_rotate(self, tree, parent, side);
        return;
    }
}

/* False when the key was not there. */
TM_FN static bool tree_remove(TM_SELF, tree_ref tree, uint64_t key) {
    const tree_node_ref found = tree_find(self, tree, key);
    if (found == NULL)
        return false;
    /* A node with two children hands its place to its successor's key; that node goes instead. */
    tree_node_ref node = found;
    if (tm_get_at(found, child, 0) != NULL && tm_get_at(found, child, 1) != NULL) {
        node = tm_get_at(found, child, 1);
        for (tree_node_ref left; (left = tm_get_at(node, child, 0)) != NULL;)
            node = left;
        tm_set(found, key, tm_get(node, key));
    }
    tree_node_ref only = tm_get_at(node, child, 0);
    if (only == NULL)
        only = tm_get_at(node, child, 1);
    const tree_node_ref parent = tm_get(node, parent);
    const tree_side side = parent != NULL ? tree_side_of(self, parent, node) : 0;
    tree_replace(self, tree, parent, node, only);
    if (only != NULL) { /* then it is red and the node black */
        tm_set(only, parent, parent);
        tm_set(only, red, 0);
    } else if (!tm_get(node, red)) {
        tree_fix_removal(self, tree, parent, side);
    }
    tm_free(self, node);
    return true;
}

/* Frees the tree with its nodes. */
TM_FN static void tree_free(TM_SELF, tree_ref tree) {
    tree_node_ref node = tm_get(tree, root);
    while (node != NULL) { /* down to a leaf, free it, back to its parent */
        tree_node_ref next = tm_get_at(node, child, 0);
        if (next == NULL)
            next = tm_get_at(node, child, 1);
        if (next == NULL) {
            next = tm_get(node, parent);
            if (next != NULL)
                tm_set_at(next, child, tree_side_of(self, next, node), NULL);
            tm_free(self, node);
        }
        node = next;
    }
    tm_free(self, tree);
}

#endif
