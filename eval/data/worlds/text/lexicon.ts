/** Word lists of the text world, all our own. Small on purpose: nearly every word becomes one token. */

const words = (list: string): readonly string[] => list.trim().split(/\s+/);

export const GIVEN = words(`
  Mira Oren Tilda Bruno Selma Ivo Nadia Rufus Edda Casper Lena Otto Greta Milo Vera Hugo
  Anya Felix Dora Jonas Thea Viktor Ruth Emil Clara Piet Agnes Leo Nora Max Ida Paul`);
export const FAMILY = words(`
  Vale Marsh Holt Brook Stone Lark Frost Wells Pike Moss Reed Crane Hart Dale Finch Lane
  Birch Ford Gale Thorn Snow Rook Field Ash Penn Cole Webb Nash Quill Bell Shaw York`);

export const OBJECTS = words(
  'lamp violin kettle ladder clock basket mirror drum lantern blanket carpet globe saddle bell',
);
export const PLACES = words(
  'cellar attic kitchen garden barn garage library hall shed tower studio bakery harbour office',
);
export const TOWNS = words('Marl Tarn Osby Wick Leeds Haven Norby Elm Kirk Dover Sandby Lund Ripley Ashby');
export const FOODS = words(
  'soup bread rice cheese pasta salad honey toast stew cake porridge beans pudding jam',
);
export const JOBS = words(
  'baker farmer doctor painter sailor teacher miller tailor printer gardener barber singer pilot judge',
);
export const COLOURS = words('red blue green yellow black white brown purple grey orange');

/** Venues for reviews: two words, for instance "the Golden Fox". */
export const VENUE_FIRST = words(
  'Golden Silver Blue Old Little Royal Happy Quiet Lucky Wild Noble Copper Misty Sunny',
);
export const VENUE_SECOND = words(
  'Fox Anchor Lion Rose Bridge Swan Crown Oak Bear Mill Star Goose Wheel Raven',
);
export const ASPECTS = words('food service room coffee music staff garden view menu bed breakfast terrace');
export const GOOD = words(
  'great lovely fresh friendly clean charming excellent warm tasty pleasant bright superb',
);
export const BAD = words('awful stale rude dirty cold noisy terrible dull bitter shabby gloomy poor');

/** Topic words; the topic's name never appears in a passage. */
export const TOPICS: Readonly<Record<string, readonly string[]>> = {
  sport: words('match goal team coach race referee stadium medal runner league trophy ball'),
  music: words('song concert melody guitar choir piano rhythm chorus tune orchestra flute band'),
  cooking: words('oven flour recipe butter spoon dough pepper onion sauce pan sugar boil'),
  travel: words('train ticket luggage hotel airport map passport ferry tourist journey station suitcase'),
  weather: words('rain storm cloud wind snow thunder fog sunshine frost umbrella drizzle breeze'),
  school: words('lesson pupil pencil exam homework desk chalk book class grammar essay ruler'),
};

/** Common-sense things: category, and whether they are big or small among their kind. */
export const THINGS: Readonly<Record<string, { big: readonly string[]; small: readonly string[] }>> = {
  mammal: {
    big: words('horse elephant camel bull whale'),
    small: words('mouse hamster squirrel bat rabbit'),
  },
  bird: { big: words('eagle ostrich swan stork turkey'), small: words('sparrow robin wren canary finch') },
  vehicle: { big: words('truck bus lorry tram ship'), small: words('scooter bicycle sled kayak cart') },
  fruit: {
    big: words('melon pumpkin pineapple coconut papaya'),
    small: words('cherry grape berry plum lemon'),
  },
  tool: { big: words('drill plough anvil saw shovel'), small: words('needle hammer pliers file chisel') },
  building: {
    big: words('castle palace temple factory museum'),
    small: words('hut tent cabin kiosk cottage'),
  },
};
