#!/bin/sh
# bench/anti-dreambooth.sh [OUT]: what pictures changed by Anti-DreamBooth leave to DreamBooth with prior preservation: one
# bag of the test garments, five pictures of it, learnt clean, with noise of about the same size, and changed by FSMG and by
# ASPL. Fidelity is as in bench/personalize.sh; the interval is of the pictures that were drawn. Cells that are finished are
# passed over. THERIAC, MODEL, JUDGE, SUBJECT, OTHERS, SEED, RATE, STEPS, ROUNDS, BUDGET and METHODS may be set from outside.
set -eu
cd "$(dirname "$0")/.."
out=${1:-out/anti-dreambooth}
theriac=${THERIAC:-build/theriac}
model=${MODEL:-models/fashion-sd}
judge=${JUDGE:-models/fashion-clip}
subject=${SUBJECT:-1}
others=${OTHERS:-2 3}
seed=${SEED:-0}
rate=${RATE:-2e-4}
steps=${STEPS:-400}
rounds=${ROUNDS:-0} # 0: the method's own
budget=${BUDGET:-0.05}
methods=${METHODS:-fsmg aspl}

. bench/bags.sh
five="$(bag "$subject")&count=5"
latents=$out/clean/class-latents.safetensors

mkdir -p "$out"
contexts 'sks bag' > "$out/subject.txt"

# change METHOD: OUT/METHOD-pictures/pictures
change() {
    once "$out/$1-pictures" "$theriac" guard anti-dreambooth --method "$1" --model "$model" --protect "$five" --class bag \
        --class-latents "$latents" --budget "$budget" --rounds "$rounds" --lr "$rate" --batch 5 --seed "$seed"
}

# row NAME SET OPTIONS...
row() {
    name=$1 set=$2
    shift 2
    once "$out/$name" "$theriac" personalize dreambooth --model "$model" --instances "$set" \
        --instance-prompt 'a photo of sks bag' --class-prompt 'a photo of a bag' --lr "$rate" --steps "$steps" --batch 4 \
        --seed "$seed" "$@"
    once "$out/$name-drawn" "$theriac" generate --model "$out/$name/model" --prompts "$out/subject.txt" --count 4 --seed 9 \
        $draw
    # shellcheck disable=SC2046
    printf '| %s | %.3f (%.3f to %.3f) | %.3f |\n' "$name" $(fidelity "$out/$name-drawn" "$subject") \
        "$(best "$out/$name-drawn" "$others")"
}

echo '| pictures | fidelity | best other bag |'
echo '|---|---:|---:|'
row clean "$five" --class-count 64 --class-steps 20 --class-guidance 3 --class-batch 32
row noise "$five" --views 1 --transform noise="$(echo "$budget" | awk '{ print $1 / 2 }')" --class-latents "$latents"
for method in $methods; do
    change $method
    row $method "$out/$method-pictures/pictures" --class-latents "$latents"
done
