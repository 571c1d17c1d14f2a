#!/bin/bash
# scripts/setup on machines where something is missing: a PATH of our own, with apt-get, sudo and id of our own.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

farm=$TMP/bin
new_machine() { # PROGRAM...: all of this machine's programs except these, and neither apt-get nor sudo
    rm -rf "$farm"
    mkdir -p "$farm"
    cp -s /usr/bin/* "$farm" 2>/dev/null
    local program
    for program in "$@" apt-get sudo; do rm -f "$farm/$program"; done
    : >"$TMP/log"
}
program() { # NAME BODY
    rm -f "${farm:?}/$1"
    printf '#!/bin/bash\n%s\n' "$2" >"$farm/$1"
    chmod +x "$farm/$1"
}
setup() { run env PATH="$farm" TMPDIR="$TMP" scripts/setup "$@"; }
install_gnuplot="echo \"\$@\" >>$TMP/log; case \"\$*\" in *install*) ln -s /bin/true $farm/gnuplot ;; esac"
fail_to_install="echo \"\$@\" >>$TMP/log; echo 'E: Unable to locate package'; exit 100"

new_machine
program apt-get "echo called >>$TMP/log"
setup build test lint
expect_status "nothing is missing here" 0
expect_equal "so apt-get is not called" "$(cat "$TMP/log")" ''
setup --quiet build
expect_equal "--quiet says nothing then" "$(cat "$OUT" "$ERR")" ''

new_machine gnuplot clang-tidy
setup build
expect_status "without apt-get: exit status 1" 1
expect_in "it names the missing program and its package" "$ERR" 'gnuplot-nox'
expect_not_in "and nothing that is there" "$ERR" 'libjansson|g\+\+'
expect_not_in "and nothing of a group that was not asked for" "$ERR" 'clang-tidy'
setup --check build lint
expect_status "--check: exit status 1" 1
expect_in "it names what is missing" "$ERR" 'program gnuplot, program clang-tidy'

new_machine gcc
setup --check build
expect_in "without a compiler the headers count as missing" "$ERR" 'program gcc.*header jansson\.h'

new_machine gnuplot
program id 'echo 0'
program apt-get "$install_gnuplot"
setup build
expect_status "root: it installs" 0
expect_in "it says what it does" "$OUT" 'apt-get install --no-install-recommends gnuplot-nox'
expect_in "the lists are updated first" "$TMP/log" ' update$'
expect_in "the package is installed without questions" "$TMP/log" '-y .*install --no-install-recommends gnuplot-nox$'
expect_equal "and nothing else is called for" "$(wc -l <"$TMP/log")" 2

new_machine gnuplot
program id 'echo 0'
program apt-get "$fail_to_install"
setup build
expect_status "a failing apt-get: exit status 1" 1
expect_in "what apt-get said is shown" "$ERR" '^E: Unable to locate package'
expect_in "and what to look at" "$ERR" 'could not install gnuplot-nox.*network'

new_machine gnuplot
program id 'echo 0'
program apt-get "echo \"\$@\" >>$TMP/log"
setup build
expect_status "an installation that did not help: exit status 1" 1
expect_in "is told" "$ERR" 'still missing after the installation: program gnuplot'

new_machine gnuplot
program id 'echo 1000'
program apt-get "$install_gnuplot"
# shellcheck disable=SC2016 # for the script that this writes
program sudo 'while [ "$1" = -n ]; do shift; done; echo sudo >>'"$TMP"'/log; exec "$@"'
setup build
expect_status "a user: it installs through sudo" 0
expect_in "sudo is used" "$TMP/log" '^sudo$'

new_machine gnuplot
program id 'echo 1000'
program apt-get "$install_gnuplot"
setup build
expect_status "a user without sudo: exit status 1" 1
expect_in "the command to run as root is told" "$ERR" 'needs root for: apt-get install .*gnuplot-nox'
expect_equal "apt-get is not called" "$(cat "$TMP/log")" ''

bad "an unknown group is refused" "unknown argument 'everything'" scripts/setup everything

finish
