/** What the page can't do, as one plain sentence to show. Anything else that is thrown is a defect. */
export class Problem extends Error {}
