declare module "*.css" {
  const text: string;
  export default text;
}
declare const PANEL_VERSION: string;
