
/* The table of steps ends with an entry without function. */
BB_KERNEL void bb_run(uint32_t *arena)
{
    const bb_step *step;

    for (step = bb_steps; step->run != NULL; step++) {
        step->run(step->layer, (uint8_t *)arena);
    }
}
