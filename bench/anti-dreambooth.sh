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

bag() { echo "fashion-scenes?split=test&side=64&class=bag&subject=$1"; }
five="$(bag "$subject")&count=5"
latents=$out/clean/class-latents.safetensors

mkdir -p "$out"
for place in 'on a pink background' 'on a grey background' 'in front of a brick wall' 'on a wooden floor' 'on green grass' \
    'on a striped yellow background' 'against a purple wall' 'on a tiled floor'; do
    echo "a photo of sks bag $place"
done > "$out/subject.txt"

# once FOLDER COMMAND...: makes the folder by a command that takes it as -o, unless it is there
once() {
    folder=$1
    shift
    [ ! -e "$folder" ] || return 0
    rm -rf "$folder.part"
    "$@" -o "$folder.part" -q > /dev/null
    mv "$folder.part" "$folder"
}

# change METHOD: OUT/METHOD-pictures/pictures
change() {
    once "$out/$1-pictures" "$theriac" guard anti-dreambooth --method "$1" --model "$model" --protect "$five" --class bag \
        --class-latents "$latents" --budget "$budget" --rounds "$rounds" --lr "$rate" --batch 5 --seed "$seed"
}

fidelity() { "$theriac" eval images --images "$1" --real "$(bag "$2")&offset=100&count=40" --features "$judge" --json -q; }
# estimate: of fidelity in the JSON on standard input, "value low high"
estimate() { sed -n 's/.*"fidelity":\[\([-0-9.e]*\),\([-0-9.e]*\),\([-0-9.e]*\)\].*/\1 \2 \3/p'; }

# row NAME SET OPTIONS...
row() {
    name=$1 set=$2
    shift 2
    once "$out/$name" "$theriac" personalize dreambooth --model "$model" --instances "$set" \
        --instance-prompt 'a photo of sks bag' --class-prompt 'a photo of a bag' --lr "$rate" --steps "$steps" --batch 4 \
        --seed "$seed" "$@"
    once "$out/$name-drawn" "$theriac" generate --model "$out/$name/model" --prompts "$out/subject.txt" --count 4 --seed 9 \
        --steps 25 --guidance 3 --batch 32
    own=$(fidelity "$out/$name-drawn" "$subject" | estimate)
    best=$(for other in $others; do fidelity "$out/$name-drawn" "$other" | estimate; done | sort -g | tail -1)
    # shellcheck disable=SC2086
    printf '| %s | %.3f (%.3f to %.3f) | %.3f |\n' "$name" $own "${best%% *}"
}

echo '| pictures | fidelity | best other bag |'
echo '|---|---:|---:|'
row clean "$five" --class-count 64 --class-steps 20 --class-guidance 3 --class-batch 32
row noise "$five" --views 1 --transform noise="$(echo "$budget" | awk '{ print $1 / 2 }')" --class-latents "$latents"
for method in $methods; do
    change $method
    row $method "$out/$method-pictures/pictures" --class-latents "$latents"
done
