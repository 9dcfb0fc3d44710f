/* Compares the kernels of the level of this core with the portable ones (prefix ref_), on random layers that are drawn
   here. Writes the number of layers and of differences, and the first layer that differs. */
#include "chip.h"
#include "kernels.h"
#include "ref_kernels.h"

enum { MOST_ROWS = 11, MOST_WORDS = 500, MOST_CODES = 2000, GUARD = 0xA5 };
enum { CORNERS = 2 * 4 * 2 * 4 * 2 * 3 * 4 };

typedef uint32_t (*widen)(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns);

static uint32_t state = SEED;
static uint32_t weights[MOST_ROWS * MOST_WORDS], constants[MOST_ROWS];
static uint32_t words[2][MOST_CODES], sums[2][2];
static uint8_t codes[2][MOST_CODES + 4], outputs[2][2 * MOST_ROWS + 5], zero_points[MOST_ROWS];
static uint32_t layers, differences;

static uint32_t draw(uint32_t range)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (uint32_t)(((uint64_t)state * range) >> 32);
}

static uint32_t largest_or_random(uint32_t kind, uint32_t range)
{
    return kind == 0u ? 0u : kind == 1u ? range - 1u : draw(range);
}

static void report(const char *what, uint32_t bits, uint32_t columns, uint32_t rows, uint32_t count)
{
    if (differences++ == 0u) {
        chip_write(what);
        chip_write(" bits ");
        chip_write_number(bits);
        chip_write(" columns ");
        chip_write_number(columns);
        chip_write(" rows ");
        chip_write_number(rows);
        chip_write(" count ");
        chip_write_number(count);
        chip_write("\n");
    }
}

/* Columns of random codes that start anywhere, by kernel and reference; each level has its own format of them.
   `all_groups`: with those after the last code. `kind`: 0 all codes are 0, 1 all are the largest, else random. */
static void columns_of(uint32_t input_bits, uint32_t groups, uint32_t all_groups, uint32_t columns, uint32_t is_pair,
                       uint32_t kind)
{
    static const widen kernels[3] = {bb_widen_8, bb_widen_4, bb_widen_2};
    static const widen references[3] = {ref_widen_8, ref_widen_4, ref_widen_2};
    const uint32_t at = input_bits == 8u ? 0u : input_bits == 4u ? 1u : 2u;
    for (uint32_t c = 0u; c < columns; c++) {
        const uint32_t start = draw(4u);
        for (uint32_t i = 0u; i < groups * input_bits / 2u; i++) {
            codes[0][start + i] = (uint8_t)largest_or_random(kind, 256u);
        }
        uint32_t *const column = &words[0][BB_COLUMN_WORDS(all_groups) * c];
        sums[0][c] = (is_pair ? bb_widen_2x2 : kernels[at])(&codes[0][start], groups, column, columns);
        sums[1][c] = references[at](&codes[0][start], groups, &words[1][2u * c], columns);
        if (sums[0][c] != sums[1][c]) {
            report(is_pair ? "widen_2x2" : "widen", input_bits, columns, c, groups);
        }
    }
}

/* What a check of a dot product is made of. */
typedef struct {
    uint32_t columns;
    uint32_t form;          /* 0 to 2: 8, 4, 2 bits of the weights, 3: 2 bits of input and weights */
    uint32_t input_bits;
    uint32_t row_words;
    uint32_t rows;
    uint32_t kind;          /* 0 weights 0, 1 largest weights, 2 smallest constants, 3 largest ones, else random */
    uint32_t column_kind;
    uint32_t zero_kind;     /* of the zero points: 0 all are 0, 1 all are 255, else random */
    uint32_t has_zero_points;
    uint32_t offset_shift;
    uint32_t shift;
} dot_case;

static dot_case random_case(void)
{
    dot_case c;
    c.columns = 1u + draw(2u);
    c.form = draw(4u);
    c.input_bits = c.form == 3u ? 2u : 8u >> draw(3u);
    const uint32_t per_word = 32u / (c.form == 3u ? 2u : 8u >> c.form);
    c.row_words = 1u + draw((draw(8u) == 0u ? MOST_CODES / c.columns : 100u) / per_word);
    c.rows = 1u + draw(MOST_ROWS);
    c.kind = draw(6u);
    c.column_kind = draw(8u);
    c.zero_kind = draw(4u);
    c.has_zero_points = draw(2u);
    c.offset_shift = draw(17u);
    c.shift = 1u + draw(16u);
    return c;
}

/* All combinations of extremes: codes, constants, the shift s, zero points (one or one for each row), and offset shifts
   around the largest one whose factor 2^(k + e + d) is an int16. Rows and words that exercise the ends of loops and
   blocks take turns. */
static dot_case corner_case(uint32_t index)
{
    static const uint32_t row_words[5] = {1u, 2u, 5u, 30u, 57u};
    dot_case c;
    c.row_words = row_words[index % 5u];
    c.rows = 1u + index % 3u;
    c.columns = 1u + index % 2u;
    index /= 2u;
    c.form = index % 4u;
    index /= 4u;
    c.column_kind = index % 2u;
    index /= 2u;
    c.kind = index % 4u;
    index /= 4u;
    c.shift = (index % 2u) != 0u ? 16u : 1u;
    index /= 2u;
    c.has_zero_points = index % 3u != 0u;
    c.zero_kind = index % 3u != 2u;
    index /= 3u;
    c.input_bits = c.form == 3u ? 2u : 8u;
    c.offset_shift = 13u + index - (c.form == 0u ? 0u : c.form == 1u ? 4u : 6u);
    return c;
}

static void check_dot(const dot_case *c)
{
    static const bb_dot kernels[2][4] = {{bb_dot1_8, bb_dot1_4, bb_dot1_2, bb_dot1_2x2},
                                         {bb_dot2_8, bb_dot2_4, bb_dot2_2, bb_dot2_2x2}};
    static const ref_dot references[2][4] = {{ref_dot1_8, ref_dot1_4, ref_dot1_2, ref_dot1_2},
                                             {ref_dot2_8, ref_dot2_4, ref_dot2_2, ref_dot2_2}};
    const uint32_t columns = c->columns, form = c->form, row_words = c->row_words, rows = c->rows, kind = c->kind;
    const uint32_t bits = form == 3u ? 2u : 8u >> form;
    const uint32_t per_word = 32u / bits;
    const uint32_t used = row_words * per_word / 4u - draw(per_word / 4u); /* groups of codes; the rest has weight 0 */
    const uint32_t stride = MOST_ROWS + draw(4u);
    for (uint32_t i = 0u; i < 2u * MOST_CODES; i++) {
        (&words[0][0])[i] = state * i;
    }
    columns_of(c->input_bits, used, row_words * per_word / 4u, columns, form == 3u, c->column_kind);
    for (uint32_t row = 0u; row < rows; row++) {
        const uint32_t is_alone = (row == (rows & ~1u)) ? 1u : 0u;
        for (uint32_t word = 0u; word < row_words; word++) {
            uint32_t value = kind == 0u ? 0u : kind == 1u ? 0xFFFFFFFFu : (draw(65536u) << 16) | draw(65536u);
            for (uint32_t field = 0u; field < per_word; field++) { /* fields of codes after the last group */
                const uint32_t half = field / (per_word / 2u), inside = field % (per_word / 2u);
                const uint32_t code = 4u * (inside / 2u) + 2u * half + inside % 2u;
                if (word * per_word + code >= 4u * used) {
                    value &= ~(((1u << bits) - 1u) << (field * bits));
                }
            }
            weights[(row & ~1u) * row_words + (is_alone ? word : 2u * word + (row & 1u))] = value;
        }
        constants[row] = kind == 2u ? 0x80008000u : kind == 3u ? 0x7FFF7FFFu : (draw(65536u) << 16) | draw(65536u);
        zero_points[row] = (uint8_t)largest_or_random(c->zero_kind, 256u);
    }
    const uint32_t shift = c->shift, zero_point = draw(256u);
    const bb_rows kernel = {
        weights, constants, c->has_zero_points ? zero_points : NULL,
        (int32_t)((zero_point << shift) + (1u << (shift - 1u))), (uint16_t)rows, (uint16_t)row_words,
        (uint8_t)largest_or_random(c->zero_kind, 256u), (uint8_t)c->offset_shift, (uint8_t)shift, 0u};
    const ref_rows reference = {kernel.weights, kernel.constants, kernel.zero_points, kernel.addend,
                                kernel.rows, kernel.row_words, kernel.zero_point, kernel.offset_shift,
                                kernel.shift, 0u};
    for (uint32_t i = 0u; i < sizeof outputs; i++) {
        (&outputs[0][0])[i] = GUARD;
    }
    kernels[columns - 1u][form](&kernel, words[0], sums[0], outputs[0], stride);
    references[columns - 1u][form](&reference, words[1], sums[1], outputs[1], stride);
    for (uint32_t i = 0u; i < sizeof outputs[0]; i++) {
        if (outputs[0][i] != outputs[1][i]) {
            report(form == 3u ? "dot_2x2" : "dot", bits, columns, rows, row_words);
            break;
        }
    }
}

static void check_pack(void)
{
    const uint32_t count = 1u + draw(40u), is_four = draw(2u), start = draw(4u);
    for (uint32_t i = 0u; i < count; i++) {
        codes[0][start + i] = (uint8_t)(draw(2u) ? draw(256u) : draw(20u));
    }
    for (uint32_t i = 0u; i < sizeof outputs; i++) {
        (&outputs[0][0])[i] = GUARD;
    }
    (is_four ? bb_pack_4 : bb_pack_2)(&codes[0][start], count, outputs[0]);
    (is_four ? ref_pack_4 : ref_pack_2)(&codes[0][start], count, outputs[1]);
    for (uint32_t i = 0u; i < sizeof outputs[0]; i++) {
        if (outputs[0][i] != outputs[1][i]) {
            report("pack", is_four ? 4u : 2u, 0u, 0u, count);
            break;
        }
    }
}

int main(void)
{
    for (layers = 0u; layers < LAYERS; layers++) {
        const dot_case c = random_case();
        check_dot(&c);
        check_pack();
    }
    for (uint32_t i = 0u; i < CORNERS; i++) {
        const dot_case c = corner_case(i);
        check_dot(&c);
    }
    chip_write("layers ");
    chip_write_number(layers);
    chip_write("\ndifferences ");
    chip_write_number(differences);
    chip_write("\n");
    return differences != 0u;
}
