#!/bin/sh
# bench/clean.sh [OUT]: the grid of docs/results/clean.md: two poisoned models, each cleaned by three defenses and the
# positives-only control at five learning rates with three seeds, all on the same pairs for the same number of steps.
# What is finished is passed over, so it can be stopped and started again. THERIAC, MODEL, JOBS, SEEDS and RATES may be
# set from outside.
set -eu
cd "$(dirname "$0")/.."
out=${1:-out/clean-grid}
theriac=${THERIAC:-build/theriac}
model=${MODEL:-models/fashion-clip}
jobs=${JOBS:-$(nproc)}
seeds=${SEEDS:-0 1 2}
rates=${RATES:-2.5e-4 5e-4 1e-3 2e-3 4e-3}

side=48
validation='fashion-scenes?split=validation&single=1&seed=50&count=500'
test='fashion-scenes?split=test&single=1&seed=51&count=1000'
clean='fashion-scenes?split=train&seed=52&count=4800'
dirty='fashion-scenes?split=train&seed=53&count=6400'

# name, attack, target, options of the attack
attacks='badnet-bag badnet|a bag|--size 0.11 --rate 0.1
blended-sandal blended|a sandal|--rate 0.1'

mkdir -p "$out"
export theriac out validation test clean

# once NAME COMMAND...: makes $out/NAME by a command whose last argument is the folder it writes
once() {
    name=$1
    shift
    [ ! -e "$out/$name" ] || return 0
    rm -rf "$out/$name.part"
    "$@" "$out/$name.part"
    mv "$out/$name.part" "$out/$name"
}

cells() {
    for seed in $seeds; do
        for attack in badnet-bag blended-sandal; do
            for rate in $rates; do
                for method in cleanerclip positives cleanclip finetune; do echo "$attack $method $rate $seed"; done
            done
        done
    done
}

echo "$attacks" | while IFS='|' read -r head target options; do
    attack=${head% *} kind=${head#* }
    once "$attack-pairs" "$theriac" poison "$kind" --data "$dirty" --target "$target" --side $side $options -q -o
    once "$attack-test" "$theriac" poison "$kind" --data "$test" --test --target "$target" --side $side $options -q -o
    once "$attack" "$theriac" train clip --model "$model" --data "$out/$attack-pairs" --lr 5e-4 --epochs 2 \
        --test "$test" --test-triggered "$out/$attack-test" --target "$target" -q -o
done

# Sub-texts once for each seed, before several processes want them.
for seed in $seeds; do
    [ -e "$out/subtexts-$seed.tsv" ] || "$theriac" clean cleanerclip --model "$model" --data "$clean" --seed "$seed" \
        --subtext-cache "$out/subtexts-$seed.tsv" --show-subtexts 1 -q >/dev/null
done

# A cell: two processes of one thread each keep two cores busier than one of two.
cells | xargs -n 4 -P "$jobs" sh -c '
    attack=$0 method=$1 rate=$2 seed=$3
    cell=$out/cells/$attack-$method-$rate-$seed
    [ -e "$cell" ] && exit 0
    target="a ${attack#*-}"
    extra="--subtext-cache $out/subtexts-$seed.tsv"
    case $method in
    positives) method=cleanerclip extra="$extra --subtexts positives" ;;
    finetune | cleanclip) extra= ;;
    esac
    rm -rf "$cell.part"
    "$theriac" clean $method --model "$out/$attack/model" --data "$clean" --lr "$rate" --epochs 1 --warmup 10 \
        --seed "$seed" --threads 1 --loader-threads 1 --checkpoint-every 0 --eval "$validation" --test "$test" \
        --test-triggered "$out/$attack-test" --target "$target" $extra -q -o "$cell.part" >/dev/null || exit 255
    rm -rf "$cell.part/checkpoints" "$cell.part/model"
    mv "$cell.part" "$cell"
    echo "$cell"'

"$theriac" report clean "$out"/cells/*[0-9] -o "$out/report.html" --markdown "$out/tables.md"
