/* Pairs of windows and pixels, computed without what the drivers need for all others; with codes of 8 bits, they are
   widened without calls. Left out with -Os, because it is half of the code of a convolution. */

#define BB_PAIRS 1

/* Makes the column of a window inside the image. The last 1 to 3 codes of a row wait in `rest` for those of the next
   row, which are shifted left by `shift`. */
BB_INLINE uint32_t bb_gathered_window(const uint8_t *from, uint32_t rows, uint32_t count, uint32_t skip, uint32_t *words)
{
    const uint8_t *end;
    uint32_t left = rows, sum = 0u, rest = 0u, shift = 0u, odd;
#define BB_GATHERED                                                                                                   \
    "usada8 %[sum], %[rest], %[zero], %[sum]\n"                                                                       \
    "uxtb16 %[odd], %[rest], ror #8\n"                                                                                \
    "uxtb16 %[rest], %[rest]\n"                                                                                       \
    "strd %[rest], %[odd], [%[words]], #16\n"
    __asm volatile("1:\n"
                   "add %[end], %[from], %[count]\n"
                   "ldr %[odd], [%[from]]\n"
                   "lsl %[odd], %[odd], %[shift]\n"
                   "orr %[rest], %[rest], %[odd]\n" BB_GATHERED
                   "sub %[from], %[from], %[shift], lsr #3\n"
                   "sub %[shift], %[end], %[from]\n"
                   "adds %[from], %[from], #4\n"
                   "subs %[shift], %[shift], #8\n"
                   "blt 3f\n"
                   "2:\n"
                   "ldr %[rest], [%[from]], #4\n" BB_GATHERED
                   "subs %[shift], %[shift], #4\n"
                   "bge 2b\n"
                   "3:\n"
                   "ldr %[rest], [%[end], #-4]\n"
                   "lsl %[shift], %[shift], #3\n" /* 8 * (codes left - 4) */
                   "rsb %[odd], %[shift], #0\n"
                   "lsr %[rest], %[rest], %[odd]\n"
                   "add %[shift], %[shift], #32\n"
                   "add %[from], %[end], %[skip]\n"
                   "subs %[left], %[left], #1\n"
                   "bne 1b\n"
                   "cbz %[shift], 4f\n" BB_GATHERED "4:\n"
                   : [from] "+&r"(from), [words] "+&r"(words), [sum] "+&r"(sum), [rest] "+&r"(rest),
                     [shift] "+&l"(shift), [left] "+&r"(left), [end] "=&r"(end), [odd] "=&r"(odd)
                   : [count] "r"(count), [skip] "r"(skip), [zero] "r"(0)
                   : "cc", "memory");
    return sum;
}

/* Neighbouring windows that share codes. Of a row of two windows, the first codes belong to the first window, the next
   to both, the last to the second: each is widened once, 16 a turn. */

/* Widens the codes from `from` to `end`, 16 a turn, to one column; adds them to `sum`. */
BB_INLINE uint32_t *bb_widen_part(const uint8_t *from, const uint8_t *end, uint32_t *to, uint32_t *sum)
{
    uint32_t total = *sum, odd;
#define BB_PART(word)                                                                                                 \
    "usada8 %[total], " word ", %[zero], %[total]\n"                                                                  \
    "uxtb16 %[odd], " word ", ror #8\n"                                                                               \
    "uxtb16 " word ", " word "\n"                                                                                     \
    "str %[odd], [%[to], #4]\n"                                                                                       \
    "str " word ", [%[to]], #16\n"
    __asm volatile("1:\n"
                   "ldm %[from]!, {r3-r6}\n" BB_PART("r3") BB_PART("r4") BB_PART("r5") BB_PART("r6")
                   "cmp %[from], %[end]\n"
                   "bne 1b\n"
                   : [from] "+&r"(from), [to] "+&r"(to), [total] "+&r"(total), [odd] "=&r"(odd)
                   : [end] "r"(end), [zero] "r"(0)
                   : "r3", "r4", "r5", "r6", "cc", "memory");
    *sum = total;
    return to;
}

/* Widens codes to both columns. */
BB_INLINE void bb_widen_shared(const uint8_t *from, const uint8_t *end, uint32_t **to, uint32_t **second,
                               uint32_t *sum)
{
    uint32_t total = *sum, odd;
    uint32_t *to0 = *to, *to1 = *second;
#define BB_SHARED(word)                                                                                               \
    "usada8 %[total], " word ", %[zero], %[total]\n"                                                                  \
    "uxtb16 %[odd], " word ", ror #8\n"                                                                               \
    "uxtb16 " word ", " word "\n"                                                                                     \
    "str %[odd], [%[to0], #4]\n"                                                                                      \
    "str " word ", [%[to0]], #16\n"                                                                                   \
    "str %[odd], [%[to1], #4]\n"                                                                                      \
    "str " word ", [%[to1]], #16\n"
    __asm volatile("1:\n"
                   "ldm %[from]!, {r3-r6}\n" BB_SHARED("r3") BB_SHARED("r4") BB_SHARED("r5") BB_SHARED("r6")
                   "cmp %[from], %[end]\n"
                   "bne 1b\n"
                   : [from] "+&r"(from), [to0] "+&r"(to0), [to1] "+&r"(to1), [total] "+&r"(total), [odd] "=&r"(odd)
                   : [end] "r"(end), [zero] "r"(0)
                   : "r3", "r4", "r5", "r6", "cc", "memory");
    *sum = total;
    *to = to0;
    *second = to1;
}

/* Makes the columns of a window and the next one; `staging` holds padding. */
BB_INLINE void bb_shared_windows(const bb_convolution_layer *l, const uint8_t *input, uint32_t top, uint32_t left,
                                 uint32_t *words, const uint8_t *staging, uint32_t *sums)
{
    const uint32_t channels = l->group_channels;
    const uint32_t width = l->input_width;
    const uint32_t alone = l->stride_x * channels;
    const uint32_t both = (l->kernel_width * channels) - alone;
    const uint32_t step = width * channels * l->dilation_y;
    uint32_t at = ((top * width) + left) * channels;
    uint32_t *first = words;
    uint32_t *second = &words[2];
    uint32_t y = top, sum = 0u, sum0 = 0u, sum1 = 0u;
    for (uint32_t row = l->kernel_height; row != 0u; row--) {
        const uint8_t *before = staging, *shared = staging, *after = staging;
        if (y < l->input_height) {
            before = ((int32_t)left >= 0) ? &input[at] : staging;
            shared = &input[at + alone];
            after = ((left + l->kernel_width) != width) ? &shared[both] : staging;
        }
        sum0 -= sum;
        first = bb_widen_part(before, &before[alone], first, &sum);
        sum1 -= sum;
        bb_widen_shared(shared, &shared[both], &first, &second, &sum);
        sum0 += sum;
        second = bb_widen_part(after, &after[alone], second, &sum);
        sum1 += sum;
        at += step;
        y += l->dilation_y;
    }
    sums[0] = sum0;
    sums[1] = sum1;
}

/* Computes pairs of pixels whose windows are inside the image, or share codes and are outside with all that the first
   or the second has alone; tells which pixels these are. Of layers without groups and horizontal dilation, whose pixels
   are whole bytes. */
BB_INLINE void bb_compute_pairs(const bb_convolution_layer *l, uint8_t *arena, uint8_t *staging, bb_pixels *computed)
{
    const uint32_t channels = l->group_channels;
    const uint32_t stride = l->stride_x;
    const uint32_t pixel_bytes = (channels * l->input_bits) >> 3;
    const uint32_t count = l->kernel_width * pixel_bytes; /* bytes of a row of a window */
    const uint32_t is_shared =
        ((l->input_bits == 8u) && ((channels & 15u) == 0u) && (stride < l->kernel_width)) ? 1u : 0u;
    const uint32_t is_gathered = ((l->input_bits == 8u) && (count >= 4u)) ? 1u : 0u;
    /* Rows that have to be inside, below the first one. */
    const uint32_t rows = (is_shared != 0u) ? 0u : ((l->kernel_height - 1u) * l->dilation_y);
    const uint32_t row_bytes = l->input_width * pixel_bytes;
    const uint32_t step = row_bytes * l->dilation_y;
    const uint32_t skip = step - count;
    const uint32_t pixel_step = stride * pixel_bytes;
    const uint32_t output_bytes = bb_pixel_bytes(l->output_channels, l->output_bits);
    uint32_t *const words = (uint32_t *)(void *)&arena[l->scratch];
    uint32_t y = 0u, x = 0u, pairs = 0u;
    if ((l->groups == 1u) && (l->dilation_x == 1u) && (((channels * l->input_bits) & 7u) == 0u)) {
        const int32_t end = (int32_t)l->input_width - (int32_t)l->kernel_width;
        int32_t left = -(int32_t)l->pad_left;
        while ((left < 0) && ((is_shared == 0u) || ((left + (int32_t)stride) != 0))) {
            left += (int32_t)stride;
            x++;
        }
        for (uint32_t at = x + 1u; at < l->output_width; at += 2u) {
            const int32_t rest = end - left; /* pixels behind the first window */
            if ((rest >= (int32_t)stride) || ((is_shared != 0u) && (rest == 0))) {
                pairs++;
            }
            left += 2 * (int32_t)stride;
        }
        while ((is_shared == 0u) && ((y * l->stride_y) < l->pad_top)) {
            y++;
        }
    }
    if (pairs != 0u) {
        uint32_t top = (y * l->stride_y) - l->pad_top;
        uint32_t to = l->output + (((y * l->output_width) + x) * output_bytes);
        computed->x = x;
        computed->y = y;
        computed->width = 2u * pairs;
        while ((y < l->output_height) && ((is_shared != 0u) || ((top + rows) < l->input_height))) {
            uint32_t left = (x * stride) - l->pad_left;
            uint32_t at = l->input + (top * row_bytes) + (left * pixel_bytes);
            uint32_t next = to;
            for (uint32_t pair = pairs; pair != 0u; pair--) {
                uint32_t sums[2];
                if (is_shared != 0u) {
                    bb_shared_windows(l, &arena[l->input], top, left, words, staging, sums);
                } else if (is_gathered != 0u) {
                    for (uint32_t column = 0u; column < 2u; column++) {
                        sums[column] = bb_gathered_window(&arena[at], l->kernel_height, count, skip, &words[2u * column]);
                        at += pixel_step;
                    }
                } else {
                    for (uint32_t column = 0u; column < 2u; column++) {
                        sums[column] = bb_inner_window(l, &arena[at], step, &words[2u * column], staging);
                        at += pixel_step;
                    }
                }
                bb_store_pair(l, l->rows, words, sums, &staging[bb_column_codes(l)], &arena[next], output_bytes, 0u);
                left += 2u * stride;
                next += 2u * output_bytes;
            }
            top += l->stride_y;
            to += l->output_width * output_bytes;
            y++;
        }
        computed->height = y - computed->y;
    }
}

/* Computes a pointwise layer whose pixels are widened in pairs, 8 codes of each at a time; a last single pixel with the
   one before again. Returns the number of computed pixels: all or none. */
BB_INLINE uint32_t bb_paired_pixels(const bb_convolution_layer *l, const uint8_t *input, uint8_t *output,
                                    uint32_t *words)
{
    const uint32_t input_bytes = l->group_channels;
    const uint32_t output_bytes = l->output_channels;
    const bb_rows *const rows = l->rows;
    const uint8_t *first = input;
    uint8_t *to = output;
    const uint32_t all = (uint32_t)l->output_height * l->output_width;
    const uint32_t is_paired = ((l->input_bits == 8u) && ((input_bytes & 7u) == 0u) && (l->pack == NULL)) ? 1u : 0u;
    const uint32_t done = ((is_paired != 0u) && (all > 1u)) ? all : 0u;
    uint32_t pixels = done;
    while (pixels != 0u) {
        const uint8_t *second = &first[input_bytes];
        const uint8_t *const end = second;
        uint32_t *column = words;
        uint32_t sums[2], sum0 = 0u, sum1 = 0u;
#define BB_PAIRED                                                                                                     \
    "usada8 %[sum0], r3, %[zero], %[sum0]\n"                                                                          \
    "usada8 %[sum1], r5, %[zero], %[sum1]\n"                                                                          \
    "uxtb16 r4, r3, ror #8\n"                                                                                         \
    "uxtb16 r3, r3\n"                                                                                                 \
    "uxtb16 r6, r5, ror #8\n"                                                                                         \
    "uxtb16 r5, r5\n"                                                                                                 \
    "stm %[column]!, {r3-r6}\n"
        __asm volatile("1:\n"
                       "ldr r3, [%[first]], #4\n"
                       "ldr r5, [%[second]], #4\n" BB_PAIRED
                       "ldr r3, [%[first]], #4\n"
                       "ldr r5, [%[second]], #4\n" BB_PAIRED
                       "cmp %[first], %[end]\n"
                       "bne 1b\n"
                       : [first] "+&r"(first), [second] "+&r"(second), [column] "+&r"(column), [sum0] "+&r"(sum0),
                         [sum1] "+&r"(sum1)
                       : [end] "r"(end), [zero] "r"(0)
                       : "r3", "r4", "r5", "r6", "cc", "memory");
        sums[0] = sum0;
        sums[1] = sum1;
        l->dot(rows, words, sums, to, output_bytes);
        first = second;
        to = &to[2u * output_bytes];
        pixels -= 2u;
        if (pixels == 1u) {
            first = &first[-(int32_t)input_bytes];
            to = &to[-(int32_t)output_bytes];
            pixels = 2u;
        }
    }
    return done;
}
