/*
 * Which histories `allcores check` takes for correct: each is written by hand, as the programs note
 * them, and must be accepted or refused for its reason.
 */
#include "check_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct check_history h;
static struct check_me me[CHECK_LANES];
static char why[2048];

/* Notes separated by blanks: thread, letter, and where there is one a value.
 *   ( invoke   [ begin   rX=V wX=V of CHECK_X + X   i irrevocable   g give up   ? ask   ) return
 *   pX=V PX=V plain read and write   <V >V push and pop    kX=V KX=V read, write of a key */
static enum check_failure judge(const char *text) {
    check_history_reset(&h, NULL);
    for (unsigned l = 0; l < CHECK_LANES; l++)
        me[l] = (struct check_me){&h, l, true};
    for (const char *at = text; *at != '\0'; at++) {
        unsigned thread, variable = 0;
        unsigned long value = 0;
        char kind;
        if (*at == ' ')
            continue;
        assert_int_equal(sscanf(at, "%1u%c", &thread, &kind), 2);
        at += 2;
        if (strchr("rwpPkK", kind) != NULL) {
            assert_int_equal(sscanf(at, "%u=%lu", &variable, &value), 2);
        } else if (kind == '<' || kind == '>') {
            assert_int_equal(sscanf(at, "%lu", &value), 1);
        }
        static const char letters[] = "([rw<>ig?)pP";
        static const enum check_kind kinds[] = {
            CHECK_INVOKE, CHECK_BEGIN,  CHECK_READ,        CHECK_WRITE,
            CHECK_PUSH,   CHECK_POP,    CHECK_IRREVOCABLE, CHECK_GIVE_UP,
            CHECK_ASK,    CHECK_RETURN, CHECK_PLAIN_READ,  CHECK_PLAIN_WRITE};
        if (kind == 'k' || kind == 'K')
            check_note(&me[thread], kind == 'k' ? CHECK_READ : CHECK_WRITE, CHECK_LIST + variable,
                       value);
        else
            check_note(&me[thread], kinds[strchr(letters, kind) - letters], CHECK_X + variable,
                       value);
        at += strcspn(at, " ");
        at--;
    }
    why[0] = '\0';
    return check_history_judge(&h, why, sizeof why);
}

#define ACCEPTED(text) assert_int_equal(judge(text), CHECK_OK)
#define REFUSED(failure, text)                                                                     \
    do {                                                                                           \
        assert_int_equal(judge(text), failure);                                                    \
        assert_true(why[0] != '\0');                                                               \
    } while (0)

static void test_serial_blocks_are_accepted(void **state) {
    (void)state;
    ACCEPTED("");
    ACCEPTED("0( 0[ 0r0=0 0w0=1 0? 0) 1( 1[ 1r0=1 1w0=2 1? 1) 0( 0[ 0r0=2 0? 0)");
}

static void test_overlapping_blocks_may_come_in_either_order(void **state) {
    (void)state;
    ACCEPTED("0( 1( 0[ 1[ 0w0=1 1r0=0 0? 0) 1? 1)");                   /* the reader first */
    ACCEPTED("0( 1( 0[ 0w0=1 0? 1[ 1r0=1 1? 1) 0)");                   /* the writer first */
    ACCEPTED("0( 1( 0[ 1[ 0w0=1 1w0=2 0? 1? 1) 0) 2( 2[ 2r0=1 2? 2)"); /* the second to ask first */
}

static void test_a_lost_update_is_refused(void **state) {
    (void)state;
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 1( 0[ 1[ 0r0=0 1r0=0 0w0=1 0? 0) 1w0=2 1? 1)");
    assert_non_null(strstr(why, "cycle"));
    assert_non_null(strstr(why, "T0.1"));
    assert_non_null(strstr(why, "T1.1"));
}

static void test_write_skew_is_refused(void **state) {
    (void)state;
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 1( 0[ 1[ 0r0=0 0r1=0 1r0=0 1r1=0 0w0=1 1w1=2 0? 1? 0) 1)");
}

static void test_a_stale_read_after_the_end_is_refused(void **state) {
    (void)state;
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 0[ 0w0=1 0? 0) 1( 1[ 1r0=0 1? 1)");
    ACCEPTED("1( 0( 0[ 0w0=1 0? 0) 1[ 1r0=0 1? 1)"); /* it was invoked before */
}

/* An aborted execution ends when the block begins again: it cannot come behind what began later,
 * and it hides nothing that comes behind it. */
static void test_aborted_executions_end(void **state) {
    (void)state;
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 0[ 0w1=5 0? 1( 1[ 1r1=5 1[ 1w0=6 1? 1) "
                                    "2( 2[ 2r0=0 2? 2) 0)");
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 0[ 0w0=1 0? 1( 1[ 1r0=1 1[ 2( 2[ 2r0=0 2? 2) 0) "
                                    "1r0=1 1? 1)");
    ACCEPTED("0( 0[ 0w0=1 0? 1( 1[ 1r0=1 2( 2[ 2r0=0 2? 2) 1[ 0) 1r0=1 1? 1)"); /* 2 began before */
    ACCEPTED("0( 0[ 0w0=1 0? 1( 1[ 1r0=0 1[ 2( 2[ 2r0=0 2? 2) 0) 1r0=1 1? 1)");
}

static void test_items_of_unfinished_blocks_are_refused(void **state) {
    (void)state;
    REFUSED(CHECK_DIRTY_READ, "0( 1( 0[ 1[ 0<7 1>7 0? 0) 1? 1)");
    assert_non_null(strstr(why, "item 7"));
    REFUSED(CHECK_DIRTY_READ, "0( 1( 0[ 1[ 0<7 1>7 0g 0[ 0? 0) 1? 1)");
    ACCEPTED("0( 1( 0[ 1[ 0<7 0? 1>7 0) 1? 1)");
    ACCEPTED("0( 0[ 0<7 0>7 0? 0)"); /* its own */
}

/* As many items as there can be, and more executions than are judged. */
static void test_long_histories(void **state) {
    (void)state;
    static char text[60000];
    size_t n = (size_t)snprintf(text, sizeof text, "0( 0[");
    for (unsigned i = 1; i <= 70; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, " 0<%u", i);
    n += (size_t)snprintf(text + n, sizeof text - n, " 0? 0) 1( 1[");
    for (unsigned i = 1; i <= 70; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, " 1>%u", i);
    snprintf(text + n, sizeof text - n, " 1? 1)");
    ACCEPTED(text);
    assert_false(h.overflow);
    n = (size_t)snprintf(text, sizeof text, "0( 0[ 0w0=1 0? 0) 1(");
    for (unsigned i = 0; i < 2200; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, " 1[ 1g");
    snprintf(text + n, sizeof text - n, " 1[ 1r0=7 1? 1)");
    ACCEPTED(text);
    assert_true(h.overflow);
}

static void test_an_inconsistent_aborted_execution_is_refused(void **state) {
    (void)state;
    /* Strictly serialisable, but a zombie saw half of a block. */
    REFUSED(CHECK_NOT_SERIALISABLE,
            "0( 1( 1[ 1r0=0 0[ 0w0=1 0w1=2 0? 0) 1r1=2 1[ 1r0=1 1r1=2 1? 1)");
    ACCEPTED("0( 1( 1[ 1r0=0 1r1=0 0[ 0w0=1 0w1=2 0? 0) 1[ 1r0=1 1r1=2 1? 1)");
}

static void test_an_execution_that_never_ended_is_judged_as_an_aborted_one(void **state) {
    (void)state;
    ACCEPTED("0( 0[ 0r0=0 0w0=1 1( 1[ 1r0=0 1? 1)");
    REFUSED(CHECK_NOT_SERIALISABLE, "1( 1[ 1w0=1 1w1=2 0( 0[ 0r0=0 1? 1) 0r1=2");
}

static void test_a_value_of_nobody_is_refused(void **state) {
    (void)state;
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 0[ 0r0=7 0? 0)");
}

static void test_a_dirty_read_is_refused_even_if_the_writer_commits(void **state) {
    (void)state;
    REFUSED(CHECK_DIRTY_READ, "0( 0[ 0w0=1 1( 1[ 1r0=1 1? 1) 0? 0)");
    REFUSED(CHECK_DIRTY_READ, "0( 0[ 0w0=1 1( 1[ 1r0=1 1? 1) 0[ 0w0=2 0? 0)");
    ACCEPTED("0( 0[ 0w0=1 0? 1( 1[ 1r0=1 1? 1) 0)"); /* it had asked */
}

static void test_own_writes_are_read(void **state) {
    (void)state;
    ACCEPTED("0( 0[ 0w0=1 0r0=1 0w0=2 0r0=2 0? 0) 1( 1[ 1r0=2 1? 1)");
    REFUSED(CHECK_OWN_WRITE_LOST, "0( 0[ 0w0=1 0r0=0 0? 0)");
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 0[ 0w0=1 0w0=2 0? 0) 1( 1[ 1r0=1 1? 1)");
}

static void test_plain_accesses_are_blocks_of_their_own(void **state) {
    (void)state;
    ACCEPTED("0( 0[ 0w0=1 0? 0) 0p1=0 0P1=2 0p1=2 0( 0[ 0w0=3 0? 0) 1( 1[ 1r1=2 1r0=3 1? 1)");
    /* A delayed write-back: the block wrote before it was privatised, and is seen afterwards. */
    REFUSED(CHECK_NOT_SERIALISABLE, "1( 1[ 1r0=0 1w1=5 1? 1) 0( 0[ 0w0=1 0? 0) 0p1=5 0P1=6 0p1=5");
}

static void test_irrevocable_blocks(void **state) {
    (void)state;
    ACCEPTED("0( 0[ 0i 0? 1( 1[ 1i 1? 1) 0)");
    REFUSED(CHECK_IRREVOCABLE_TWICE, "0( 0[ 0i 1( 1[ 1i 1? 1) 0? 0)");
    REFUSED(CHECK_IRREVOCABLE_ABORTED, "0( 0[ 0i 0[ 0i 0? 0)");
}

static void test_queue(void **state) {
    (void)state;
    ACCEPTED("0( 0[ 0<1 0? 0) 0( 0[ 0<2 0? 0) 1( 1[ 1>1 1? 1) 1( 1[ 1>2 1? 1) 1( 1[ 1>0 1? 1)");
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 0[ 0<1 0? 0) 0( 0[ 0<2 0? 0) 1( 1[ 1>2 1? 1)");
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 0[ 0<1 0? 0) 1( 1[ 1>0 1? 1)");
}

static void test_keys_of_containers(void **state) {
    (void)state;
    ACCEPTED("0( 0[ 0k1=0 0K1=1 0? 0) 1( 1[ 1k1=1 1K1=0 1? 1) 0( 0[ 0k1=0 0K1=1 0? 0)");
    REFUSED(CHECK_NOT_SERIALISABLE, "0( 1( 0[ 1[ 0k1=0 0K1=1 0? 0) 1k1=0 1K1=1 1? 1)"
                                    " 0( 0[ 0k1=0 0? 0)");
}

/* An order that only a search finds: commits in another order than they asked, and a memory that
 * must not take two states for one. */
static void test_the_search_goes_back(void **state) {
    (void)state;
    ACCEPTED("0( 1( 2( 0[ 1[ 2[ 0w0=1 0w1=1 1w0=2 1w1=2 2w0=3 2w1=3 0? 1? 2? 0) 1) 2)"
             " 3( 3[ 3r0=1 3r1=1 3? 3)");
    REFUSED(CHECK_NOT_SERIALISABLE,
            "0( 1( 2( 0[ 1[ 2[ 0w0=1 0w1=1 1w0=2 1w1=2 2w0=3 2w1=3 0? 1? 2? 0) 1) 2)"
            " 3( 3[ 3r0=1 3r1=2 3? 3)");
    REFUSED(CHECK_NOT_SERIALISABLE, /* two readers that would need different last writers */
            "0( 1( 0[ 1[ 0w0=1 1w0=2 0? 1? 0) 1) 2( 2[ 2r0=1 2? 2) 3( 3[ 3r0=2 3? 3)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serial_blocks_are_accepted),
        cmocka_unit_test(test_overlapping_blocks_may_come_in_either_order),
        cmocka_unit_test(test_a_lost_update_is_refused),
        cmocka_unit_test(test_write_skew_is_refused),
        cmocka_unit_test(test_a_stale_read_after_the_end_is_refused),
        cmocka_unit_test(test_an_inconsistent_aborted_execution_is_refused),
        cmocka_unit_test(test_aborted_executions_end),
        cmocka_unit_test(test_items_of_unfinished_blocks_are_refused),
        cmocka_unit_test(test_long_histories),
        cmocka_unit_test(test_an_execution_that_never_ended_is_judged_as_an_aborted_one),
        cmocka_unit_test(test_a_value_of_nobody_is_refused),
        cmocka_unit_test(test_a_dirty_read_is_refused_even_if_the_writer_commits),
        cmocka_unit_test(test_own_writes_are_read),
        cmocka_unit_test(test_plain_accesses_are_blocks_of_their_own),
        cmocka_unit_test(test_irrevocable_blocks),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_keys_of_containers),
        cmocka_unit_test(test_the_search_goes_back),
    };
    return cmocka_run_group_tests_name("check_history", tests, NULL, NULL);
}
