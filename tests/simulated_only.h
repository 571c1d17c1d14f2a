/*
 * simulated_only.h - for tests of the simulated machine, which a sanitizer build does not have:
 * there this is the whole program, which skips, and NO_SIMULATED_MACHINE is defined.  Include it
 * behind cmocka.h.
 */
#ifndef ALLCORES_TESTS_SIMULATED_ONLY_H
#define ALLCORES_TESTS_SIMULATED_ONLY_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NO_SIMULATED_MACHINE

static void test_nothing(void **state) {
    (void)state;
    skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif

#endif
