# Makes the data if there are none, runs the server on them, and stops it as soon as the pipe on standard input
# closes, which it does however the process at its other end ends. Afterwards removes the run directory.
#
# Invariant: it touches nothing but the run directory and data that were never finished.

programs=$1 cluster=$2 run=$3 superuser=$4 sync=$5 fast=$6 immediate=$7
shift 7

# Only the pipe decides: a hang-up of the terminal must not take away the one who would stop the server.
trap '' HUP INT QUIT TERM
exec 3<&0 </dev/null

# Runs a program until it ends or is made to: politely for $fast seconds (each second anew, because a program that
# has only just begun may not listen yet), without a shutdown for $immediate seconds, then by force.
run_until_pipe_closes() {
  "$@" 3<&- &
  child=$!
  (
    read -r _ <&3
    second=0
    while [ "$second" -lt "$((fast + immediate))" ]; do
      if [ "$second" -lt "$fast" ]; then signal=INT; else signal=QUIT; fi
      kill -s "$signal" "$child" || exit
      sleep 1
      second=$((second + 1))
    done
    kill -s KILL "$child"
  ) 2>/dev/null &
  watcher=$!
  wait "$child"
  ended=$?
  kill -s KILL "$watcher" 2>/dev/null
  wait "$watcher" 2>/dev/null
  return "$ended"
}

# The data get their name only when they are whole: what was half done when it was interrupted is made anew, and
# what has that name is never deleted.
make_cluster() {
  rm -rf "$cluster.partial" &&
    run_until_pipe_closes "$programs/initdb" -D "$cluster.partial" --username="$superuser" --encoding=UTF8 \
      --locale=C --auth-local=trust --auth-host=reject $sync &&
    mv "$cluster.partial" "$cluster"
}

{ [ -e "$cluster" ] || make_cluster; } && run_until_pipe_closes "$programs/postgres" -D "$cluster" "$@"
ended=$?
rm -rf "$run"
exit "$ended"
