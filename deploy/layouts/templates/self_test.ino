/* Checks the network on the board, and prints how long one run takes.

@notice */

#include <@name.h>
#include <@{name}_selftest.h>

static uint32_t arena[@{upper}_ARENA_WORDS];

void setup() {
  Serial.begin(115200);
  while (!Serial) {
  }
  const int wrong = @{name}_selftest(arena);
  if (wrong == 0) {
    Serial.println("self-test: passed");
  } else {
    Serial.print("self-test: failed at step ");
    Serial.println(wrong);
  }
}

void loop() {
  @{name}_selftest_input(0, arena);
  const unsigned long start = micros();
  @{name}_run(arena);
  Serial.print("one run: ");
  Serial.print(micros() - start);
  Serial.println(" microseconds");
  delay(1000);
}
