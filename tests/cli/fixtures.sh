# For cases: pictures with captions and a tiny model to try commands on.

# A folder of twelve pictures, each with its caption beside it.
make_pairs() {
    mkdir "$1"
    n=0
    for file in jpeg_411.jpg jpeg_420.jpg jpeg_cmyk.jpg jpeg_grey.jpg jpeg_ycck.jpg jpeg_turned.jpg png_grey16.png \
        png_palette4.png png_rgb8.png png_rgba8.png png_greya8.png webp_lossy.webp; do
        n=$((n + 1))
        name=$(printf %02d $n)
        cp "$CASES/../data/images/$file" "$1/$name.${file##*.}" || return
        echo "picture number $n, a ${file%%.*}" | tr _ ' ' >"$1/$name.txt"
    done
}

# Options of a new model, and of every training.
tiny='--image-size 16 --patch 8 --width 32 --heads 2 --image-layers 1 --text-layers 1 --projection 32 --context 16 --vocab 530'
quick='--threads 1 --loader-threads 1 --dtype f32'

# A model that knows next to nothing, in the folder; it takes a twentieth of a second.
make_model() {
    make_pairs model-pairs && theriac train clip --data model-pairs $tiny $quick --batch 4 --steps 2 -q -o model-run >model-log &&
        mv model-run/model "$1" && rm -r model-pairs model-run model-log
}

# What a study of guards needs, as small as it can be: a judge, pictures of two subjects, a model that passes for guarded,
# and study.json.
make_study() {
    make_model clip && mkdir one two one-real two-real || return
    n=0
    for file in jpeg_411 jpeg_420 jpeg_422 jpeg_444 jpeg_cmyk jpeg_grey jpeg_ycck jpeg_turned jpeg_restart \
        jpeg_quality_5 jpeg_quality_100 jpeg_grey_progressive; do
        n=$((n + 1))
        case $n in 1 | 2) folder=one ;; 3 | 4) folder=two ;; 5 | 6 | 7 | 8) folder=one-real ;; *) folder=two-real ;; esac
        cp "$CASES/../data/images/$file.jpg" $folder || return
    done
    theriac personalize dreambooth --model "$CASES/../data/pipeline/sd" --instances two --instance-prompt 'a thing' \
        --steps 2 --lr 1e-2 --threads 1 --dtype f32 -q -o guarding >log && mv guarding/model guarded && rm -r guarding log
    echo '{"texts": ["a photo of sks bag", "sks bag in the garden", "a dog"]}' >guarded/guard.json
    cat >study.json <<END
{"open": "$CASES/../data/pipeline/sd",
 "guards": {"guarded": {"model": "guarded", "mode": "target", "protects": ["one"],
                        "protective": {"yes": "two-real", "no": "one-real"}}},
 "subjects": {"one": {"noun": "bag", "pictures": "one", "held_out": "one-real"},
              "two": {"noun": "bag", "pictures": "two", "held_out": "two-real"}},
 "attackers": {"db": {"method": "dreambooth", "prior": true, "steps": [0, 40], "options": {"lr": 1e-4, "dtype": "f32"}}},
 "seeds": [0],
 "prompts": ["a photo of {} on the grass", "{} in the snow"],
 "ordinary": ["a dog", "a house"],
 "drawing": {"each": 2, "each_leak": 4, "steps": 2, "dtype": "f32"},
 "class_images": {"count": 3, "steps": 2},
 "encoder": "clip"}
END
}
